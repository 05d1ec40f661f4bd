/** A stream to write to. */
export interface Output {
  write(text: string): void
  readonly isTerminal: boolean
}

/** The signals that would end a command. */
export type PassedSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** What a command sees of its process. `bin.ts` makes it of the real one. */
export interface CommandIo {
  /** Data. */
  readonly stdout: Output
  /** Talk. */
  readonly stderr: Output
  readonly stdin: {
    readonly isTerminal: boolean
    readAll(): Promise<string>
    /** The next line, without its end; `''` when there is none. */
    readLine(): Promise<string>
  }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal
  /** From now on signals go to `listener` and end nothing here: a program was started that they are meant for. */
  passSignals(listener: (signal: PassedSignal) => void): void
}
