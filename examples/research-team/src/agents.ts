import { existsSync } from 'node:fs'
import { agent, type Context, nonRetryable } from '@omium/sdk'
import { z } from 'zod'
import { criticPrompt, plannerPrompt, researcherPrompt, writerPrompt } from './prompts.ts'
import { publishReport, reportFile } from './reports.ts'
import { type Finding, finding, findings, plan, readAnswer, review, type Section } from './roles.ts'
import { libraryTools, passageTools } from './tools.ts'
import { recordWork } from './work-log.ts'

/** How often a role may be asked again when its answer does not fit. */
const maxAsks = 2

interface Ask<T> {
  readonly key: string
  readonly model: string
  readonly system: string
  readonly task: unknown
  readonly shape: z.ZodType<T>
  readonly tools?: Parameters<Context['llm']['run']>[0]['tools']
}

/** Lets a role work with its tools until it answers, and reads the answer. Each completion and each tool call is a recorded step. */
const ask = async <T>(ctx: Context, { key, model, system, task, shape, tools = [] }: Ask<T>): Promise<T> => {
  const messages = [
    { role: 'system' as const, content: system },
    { role: 'user' as const, content: JSON.stringify(task) },
  ]
  for (let round = 1; round <= maxAsks; round++) {
    const { content } = await ctx.llm.run({ model, messages, tools }, { key: round === 1 ? key : `${key}-again` })
    const answer = readAnswer(content, shape)
    if (answer !== undefined) return answer
  }
  throw nonRetryable(`${key}: the model did not answer in the asked shape, ${maxAsks} times in a row`)
}

/** Answers one sub-question from the library. Runs as a child execution, many at a time. */
export const researcher = agent({
  id: 'researcher',
  description: 'Answers one question from the library, every claim with its passage',
  input: z.object({
    question: z.string().min(1),
    model: z.string().min(1),
    previous: z
      .object({
        findings: z.array(finding),
        problems: z.array(z.object({ claim: z.string(), problem: z.string() })),
      })
      .optional(),
  }),
  async run({ question, model, previous }, ctx): Promise<Finding[]> {
    const task = { question, ...(previous && { previous }) }
    const answer = await ask(ctx, {
      key: 'research',
      model,
      system: researcherPrompt,
      task,
      shape: findings,
      tools: libraryTools(ctx.executionId),
    })
    return answer.findings
  },
})

/** Plans, has every part researched at the same time, lets a critic send work back, writes, asks a human, publishes. */
export const researchTeam = agent({
  id: 'research-team',
  description: 'Planner, parallel researchers, critic, writer and a human who approves',
  input: z.object({
    question: z.string().min(3),
    model: z.string().min(1),
    maxSubQuestions: z.number().int().min(1).max(8).default(3),
    /** how often the critic may send findings back */
    maxRevisions: z.number().int().min(0).max(5).default(2),
  }),
  async run({ question, model, maxSubQuestions, maxRevisions }, ctx) {
    const { subQuestions } = await ask(ctx, {
      key: 'plan',
      model,
      system: plannerPrompt,
      task: { question, maxSubQuestions },
      shape: plan,
    })
    const sections: Section[] = await Promise.all(
      subQuestions.slice(0, maxSubQuestions).map(async (subQuestion, index) => ({
        question: subQuestion,
        findings: await ctx.call(researcher, { question: subQuestion, model }, { key: `q${index + 1}` }),
      })),
    )
    const revisions = await revise(ctx, sections, model, maxRevisions)

    const draft = await ctx.llm.chat(
      {
        model,
        messages: [
          { role: 'system', content: writerPrompt },
          { role: 'user', content: JSON.stringify({ question, sections }) },
        ],
      },
      { key: 'write', stream: true },
    )
    const report = draft.content
    const approval = await ctx.approve('Publish this report?', { details: { report } })
    if (!approval.approved) return { status: 'rejected' as const, report, revisions, comment: approval.comment ?? null }

    const file = await ctx.step(
      'publish',
      ({ idempotencyKey }) => {
        recordWork({ tool: 'publish', executionId: ctx.executionId, request: idempotencyKey })
        return publishReport(idempotencyKey, report)
      },
      {
        effect: {
          reconcile: async (idempotencyKey) =>
            existsSync(reportFile(idempotencyKey))
              ? { status: 'completed', output: reportFile(idempotencyKey) }
              : { status: 'retry' },
        },
      },
    )
    return { status: 'published' as const, report, revisions, file, approvedBy: approval.by }
  },
})

/** The critic's loop. Mends `sections` in place; returns how often work was sent back. Claims still disputed at the end are dropped. */
const revise = async (ctx: Context, sections: Section[], model: string, maxRevisions: number): Promise<number> => {
  for (let round = 1; ; round++) {
    const { problems } = await ask(ctx, {
      key: `critic-${round}`,
      model,
      system: criticPrompt,
      task: { sections },
      shape: review,
      tools: passageTools(ctx.executionId),
    })
    if (problems.length === 0) return round - 1
    if (round > maxRevisions) {
      for (const [index, section] of sections.entries()) {
        const disputed = new Set(problems.filter((one) => one.questionIndex === index).map((one) => one.claim))
        section.findings = section.findings.filter((one) => !disputed.has(one.claim))
      }
      return maxRevisions
    }
    await Promise.all(
      sections.map(async (section, index) => {
        const mine = problems.filter((one) => one.questionIndex === index)
        if (mine.length === 0) return
        const previous = {
          findings: section.findings,
          problems: mine.map(({ claim, problem }) => ({ claim, problem })),
        }
        section.findings = await ctx.call(
          researcher,
          { question: section.question, model, previous },
          { key: `q${index + 1}-revision${round}` },
        )
      }),
    )
  }
}
