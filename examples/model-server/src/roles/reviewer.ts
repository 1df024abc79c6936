import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, json } from '../openai.ts'

export const finding = z.object({
  line: z.number().int(),
  severity: z.enum(['low', 'medium', 'high']),
  finding: z.string(),
  quote: z.string(),
})
type Finding = z.infer<typeof finding>

interface Line {
  readonly number: number
  readonly text: string
}

/** What one line, with its neighbours, gives reason to say. */
type Rule = (line: Line, index: number, all: readonly Line[]) => Omit<Finding, 'line' | 'quote'> | undefined

const findingsPerReviewer = 8
const longestLine = 120
const longestFunction = 50

const when =
  (pattern: RegExp, severity: Finding['severity'], say: string): Rule =>
  ({ text }) =>
    pattern.test(text) && !isComment(text) ? { severity, finding: say } : undefined

const isComment = (text: string): boolean => /^\s*(\/\/|\/\*|\*|#)/.test(text)

const rules: Readonly<Record<string, readonly Rule[]>> = {
  correctness: [
    when(
      /catch\s*(\(\w+\))?\s*\{\s*\}|\.catch\(\(\) => (\{\s*\}|undefined)\)/,
      'medium',
      'An error vanishes here without a trace.',
    ),
    when(/[^=!<>]==[^=]|!=[^=]/, 'medium', 'Loose comparison converts types: use === or !==.'),
    when(/[\w)\]]!(\.|\)|,|;|$)/, 'medium', 'Nothing proves that this is not null: check it.'),
    when(/\bas (?!const\b)[A-Z]\w*(<.*>)?/, 'low', 'The type is asserted and never checked at run time.'),
    when(/\bvoid \w+[.(]/, 'low', 'Nobody waits for this promise, or hears of its failure.'),
    when(/\b(TODO|FIXME)\b/, 'low', 'Unfinished work is left here.'),
    ({ text }, index, all) =>
      /\bJSON\.parse\(/.test(text) &&
      !all.slice(Math.max(0, index - 3), index + 1).some((near) => /\btry\b/.test(near.text))
        ? { severity: 'medium', finding: 'This throws on malformed JSON, and nothing here catches it.' }
        : undefined,
  ],
  security: [
    when(/\beval\(|new Function\(|\bshell: true/, 'high', 'Text is run as code.'),
    when(/\.innerHTML\s*=/, 'high', 'Text becomes markup without being escaped.'),
    when(/Math\.random\(/, 'medium', 'These random numbers can be guessed: use node:crypto for ids and secrets.'),
    when(/'http:\/\/(?!127\.|localhost)/, 'medium', 'The connection is not encrypted.'),
    ({ text }, _index, all) => {
      const route = /\.(?:post|put|patch|delete)\('([^']+)'/.exec(text)?.[1]
      return route && !all.some((one) => /authoriz|authentic|apiKey/i.test(one.text))
        ? { severity: 'medium', finding: `Anybody who reaches the port may call ${route}: the file checks no key.` }
        : undefined
    },
    ({ text }) => {
      const megabytes = /\w*[lL]imit\w*\W+(\d+) \* 1024 \* 1024/.exec(text)?.[1]
      return megabytes && Number(megabytes) >= 8
        ? { severity: 'low', finding: `One request may take ${megabytes} MiB of memory.` }
        : undefined
    },
    ({ text }) =>
      /\b(log\w*|logger)\.\w+\(.*(secret|password|apiKey|token)\b/i.test(text)
        ? { severity: 'high', finding: 'A secret may get into the log.' }
        : undefined,
  ],
  style: [
    ({ text }) =>
      text.length > longestLine
        ? { severity: 'low', finding: `The line has ${text.length} characters; ${longestLine} are easier to read.` }
        : undefined,
    ({ text }, index, all) =>
      /^export (const|function|interface|class|async function) (\w+)/.test(text) &&
      !/\*\/\s*$/.test(all[index - 1]?.text ?? '')
        ? {
            severity: 'low',
            finding: `${/(\w+)(?=\s*[={(:<])/.exec(text)?.[1] ?? 'This'} is public and says nowhere what it is for.`,
          }
        : undefined,
    ({ text, number }, index, all) => {
      if (!/^(export )?(const \w+ = (async )?\(|(async )?function ).*[({]$/.test(text)) return undefined
      const end = all.slice(index).find((one) => /^\}/.test(one.text))
      const length = end ? end.number - number + 1 : 0
      return length > longestFunction
        ? { severity: 'medium', finding: `A function of ${length} lines does more than one thing: split it.` }
        : undefined
    },
    ({ text }) =>
      /(?<![\w.'"`])\d{4,}(?![\w'"`])/.test(text) && !/^\s*(export )?const \w+ =/.test(text) && !isComment(text)
        ? { severity: 'low', finding: 'A number without a name: say what it means.' }
        : undefined,
    when(/\?[^:?]*:[^:?]*\?[^:?]*:/, 'low', 'Two conditions in one expression are hard to read.'),
  ],
}

/** Looks through numbered lines (`12| code`) for what its prompt names: correctness, security or style. */
export const review = (conversation: Conversation): Answer => {
  const lines = [...conversation.task.matchAll(/^\s*(\d+)\| ?(.*)$/gm)].map(([, number, text]) => ({
    number: Number(number),
    text: text ?? '',
  }))
  const focus = Object.keys(rules).find((one) => conversation.system.includes(one)) ?? 'correctness'
  const findings = lines.flatMap((line, index) =>
    (rules[focus] ?? []).flatMap((rule) => {
      const said = rule(line, index, lines)
      return said ? [{ line: line.number, ...said, quote: line.text.trim().slice(0, 120) }] : []
    }),
  )
  return json({ findings: findings.slice(0, findingsPerReviewer) })
}
