export interface Java {
  home: string
  java: string
  major: number
}
export const kafkaJava: number
export const registryJava: number
export function which(name: string, env?: Record<string, string | undefined>): string | undefined
export function findJava(major: number, env?: Record<string, string | undefined>): Java | undefined
export function missingPrerequisites(options?: {
  env?: Record<string, string | undefined>
  root?: string
  toolsDir?: string
}): string[]
