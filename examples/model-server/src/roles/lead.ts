import { z } from 'zod'
import type { Conversation } from '../conversation.ts'
import { type Answer, json } from '../openai.ts'
import { objectsIn } from '../text.ts'
import { finding } from './reviewer.ts'

const task = z.object({ findings: z.array(finding.extend({ reviewer: z.string().optional() })) })
const rank = { high: 2, medium: 1, low: 0 }
/** So many findings of medium weight stand in the way of a change as one of high weight does. */
const mediumsThatBlock = 3

/** Weighs the findings of a review and says which to mend first. */
export const decide = (conversation: Conversation): Answer => {
  const parsed = objectsIn(conversation.task).flatMap((one) => task.safeParse(one).data ?? [])[0]
  if (!parsed) return json({ verdict: 'approve', summary: 'There is nothing to decide on.', fix_first: [] })
  const findings = parsed.findings.toSorted((a, b) => rank[b.severity] - rank[a.severity] || a.line - b.line)
  const count = (severity: keyof typeof rank) => findings.filter((one) => one.severity === severity).length
  const blocked = count('high') > 0 || count('medium') >= mediumsThatBlock
  return json({
    verdict: blocked ? 'request_changes' : 'approve',
    summary: `${findings.length} findings: ${count('high')} of high, ${count('medium')} of medium, ${count('low')} of low severity.`,
    fix_first: findings.slice(0, 3).map((one) => `line ${one.line}: ${one.finding}`),
  })
}
