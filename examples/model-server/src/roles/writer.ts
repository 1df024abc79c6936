import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, text } from '../openai.ts'
import { capitalise, objectsIn, parseJson, questionOf } from '../text.ts'
import { section, sectionsIn } from './critic.ts'

const task = z.object({ question: z.string(), sections: z.array(section) })
const review = z.object({ problems: z.array(z.object({ claim: z.string() })) })

/** Assembles the findings into cited Markdown. */
export const write = (conversation: Conversation): Answer => {
  const given = task.safeParse(parseJson(conversation.task)).data ?? inContext(conversation)
  if (!given) return text([conversation.task, conversation.context].filter((part) => part !== '').join('\n'))
  const { question, sections } = given
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

/** What earlier tasks of a crew gave: sections, without the claims that a review disputes. */
const inContext = ({ task: asked, context }: Conversation): z.infer<typeof task> | undefined => {
  const sections = sectionsIn(context)
  if (sections.length === 0) return undefined
  const reviews = objectsIn(context).flatMap((one) => review.safeParse(one).data?.problems ?? [])
  const disputed = new Set(reviews.map(({ claim }) => claim))
  return {
    question: questionOf(asked),
    sections: sections.map((one) => ({ ...one, findings: one.findings.filter(({ claim }) => !disputed.has(claim)) })),
  }
}
