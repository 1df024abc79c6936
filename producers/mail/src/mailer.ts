export interface Mail {
  readonly to: string
  readonly subject: string
  readonly text: string
  readonly html: string
  /** letters, digits, `_` and `-`; the same for the same mail sent again */
  readonly id?: string
}

export interface Mailer {
  /** Resolves when a mail server has taken it. @throws OmiumError `unavailable`; not retryable when it never will */
  send(mail: Mail): Promise<void>
  close(): void
}
