import type { EventListener } from '../events.ts'
import type { ForeignRoot } from '../hosts/foreign-place.ts'
import type { FullPlatform } from '../options.ts'
import type { PassedSignal } from './io.ts'

/** A config file that was read. */
export interface ConfigFile {
  readonly path: string
  readonly text: string
  /** Whether `${VAR}` is replaced. */
  readonly trusted: boolean
  readonly versionControlled: boolean
  /** Where relative files of its entries are. */
  readonly folder: string
  /** Where its programs are started; undefined: in the current folder. */
  readonly startsIn: string | undefined
}

/** The files that say which servers there are. */
export interface ConfigFiles {
  /** The nearest first: of two servers with one name the first counts. */
  readonly files: readonly ConfigFile[]
  /** A config file in the working directory that was left alone, since nobody vouched for it. */
  readonly untrusted: string | undefined
  /** Where the user's own file is, or would be. */
  readonly userFile: string
}

export interface TrustedFile {
  readonly path: string
  readonly sha256: string
  /** Seconds since 1970. */
  readonly trusted_at: number
}

/** The files that the person vouched for. */
export interface TrustedFiles {
  /** @throws `config_invalid` when it cannot be read */
  read(path: string): Promise<{ readonly path: string; readonly text: string }>
  /** @throws `config_untrusted` when others may write it */
  trust(path: string, text: string): Promise<TrustedFile>
  /** False when it was not trusted. */
  forget(path: string): Promise<boolean>
  list(): Promise<readonly TrustedFile[]>
}

/** A file of another program. */
export interface ForeignFile {
  readonly path: string
  readonly text: string
  /** Milliseconds since 1970. */
  readonly modified: number
}

/** The files in which other programs keep logins. Throws `store_failed`. */
export interface ForeignFiles {
  folders(root: ForeignRoot): Promise<string[]>
  read(root: ForeignRoot, relative: string): Promise<ForeignFile | undefined>
  /** Resolves to the new name: the one that is wanted, or one like it that is free. */
  rename(path: string, wanted: string): Promise<string>
  restore(aside: string, path: string): Promise<void>
}

/** A program that was started in the place of this one. */
export interface RunningProgram {
  /** Its exit code, 128+n where signal n ended it. Rejects with the system's error when it did not start. */
  readonly ended: Promise<number>
  signal(name: PassedSignal): void
}

/** What the commands are built of: `command.ts` fills it under Node, tests with what they need. */
export interface CommandParts {
  readonly platform: FullPlatform
  /** `flag` is `--config`. @throws `config_invalid` */
  readonly configFiles: (flag: string | undefined, emit: EventListener) => Promise<ConfigFiles>
  readonly foreignFiles: () => ForeignFiles
  readonly md5: (text: string) => string
  readonly trustedFiles: (emit: EventListener) => TrustedFiles
  /** Starts a program without a shell, with input and output of this one. */
  readonly startProgram: (program: {
    readonly file: string
    readonly args: readonly string[]
    readonly env: Readonly<Record<string, string | undefined>>
  }) => RunningProgram
}
