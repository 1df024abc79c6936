import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, text } from '../openai.ts'
import { capitalise, parseJson } from '../text.ts'

const task = z.object({
  question: z.string(),
  sections: z.array(
    z.object({
      question: z.string(),
      findings: z.array(z.object({ claim: z.string(), citation: z.string().nullable() })),
    }),
  ),
})

/** Assembles the findings into cited Markdown. */
export const write = (conversation: Conversation): Answer => {
  const parsed = task.safeParse(parseJson(conversation.task))
  if (!parsed.success) return text(conversation.task)
  const { question, sections } = parsed.data
  const citations = [...new Set(sections.flatMap((section) => section.findings.flatMap((one) => one.citation ?? [])))]
  const documents = new Set(citations.map((citation) => citation.split('#')[0]))
  const body = sections.map((section) => {
    const prose = section.findings
      .map(({ claim, citation }) => `${claim.replace(/[.\s]+$/, '')}${citation ? ` [${citation}]` : ''}.`)
      .join(' ')
    return `## ${section.question}\n\n${prose || 'The corpus says nothing about this.'}`
  })
  return text(
    [
      `# ${capitalise(question)}`,
      `This answer rests on ${citations.length} passages from ${documents.size} documents; each sentence names its own.`,
      ...body,
      `## Sources\n\n${citations.map((citation) => `- ${citation}`).join('\n')}`,
    ].join('\n\n'),
  )
}
