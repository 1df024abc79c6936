import { codeReview } from './code-review.ts'
import { dataExtraction } from './data-extraction.ts'
import { debate } from './debate.ts'
import { research } from './research.ts'
import { supportTriage } from './support-triage.ts'
import type { WorkflowTemplate } from './template.ts'

export const workflowTemplates: readonly WorkflowTemplate[] = [
  research,
  supportTriage,
  codeReview,
  dataExtraction,
  debate,
]
