/** The command line cannot be understood. Not one of the library's errors: only the command has usage. */
export class UsageError extends Error {
  readonly code = 'usage'
  /** What to type instead. */
  readonly remedy: string

  constructor(message: string, remedy: string) {
    super(message)
    this.name = 'UsageError'
    this.remedy = remedy
  }
}
