import { z } from 'zod'

/** What the roles of the team say to each other. */

export const finding = z.object({
  claim: z.string().min(1),
  /** id of a passage, `<document>#<number>`; a claim without one is for the critic to catch */
  citation: z.string().nullable().default(null),
})
export type Finding = z.infer<typeof finding>

export const section = z.object({ question: z.string(), findings: z.array(finding) })
export type Section = z.infer<typeof section>

export const plan = z.object({ subQuestions: z.array(z.string().min(1)).min(1) })
export const findings = z.object({ findings: z.array(finding) })
export const review = z.object({
  verdict: z.enum(['accept', 'revise']),
  problems: z.array(z.object({ questionIndex: z.number().int(), claim: z.string(), problem: z.string() })).default([]),
})

/**
 * Reads the JSON that a role answered with; a fence around it is forgiven.
 * @returns undefined when it is not JSON or does not fit the shape
 */
export const readAnswer = <T>(text: string, shape: z.ZodType<T>): T | undefined => {
  const fenced = /```(?:json)?\s*([\s\S]*?)```/.exec(text)
  try {
    const parsed = shape.safeParse(JSON.parse(fenced?.[1] ?? text))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  }
}
