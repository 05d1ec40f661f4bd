import { spawn as spawnProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { UnsupportedError, UrlRefusedError } from '../errors/index.ts'
import type { UserAgent } from '../ports.ts'
import { type BrowserCommand, browserCommands } from './browser-commands.ts'
import { browserEnvironment } from './browser-environment.ts'

/** What is used of a child process. */
export interface BrowserProcess {
  once(event: 'error', listener: (error: Error) => void): unknown
  once(event: 'exit', listener: (code: number | null) => void): unknown
  unref(): void
}

/** `spawn` of `node:child_process`, as far as it is used. */
export type SpawnBrowser = (
  file: string,
  argv: readonly string[],
  options: {
    env: Record<string, string | undefined>
    stdio: 'ignore'
    shell: false
    detached: boolean
    windowsHide: true
  },
) => BrowserProcess

export interface BrowserOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly platform: NodeJS.Platform
  /** Default: `node:child_process`. */
  readonly spawn?: SpawnBrowser
}

/** A launcher that has not failed after this many milliseconds is believed to have worked. */
const launchTime = 1500

/**
 * Opens the person's browser on a start URL of the loopback receiver, which is the one argument that the launcher gets;
 * no shell is involved anywhere. `open` rejects with `url_refused` for any other URL, and with `unsupported` when no
 * launcher could be started or all of them failed within 1.5 seconds.
 *
 * @see MCP Security Best Practices, "Secure URL Opening"
 */
export function createBrowser({ env, platform, spawn = spawnProcess }: BrowserOptions): UserAgent {
  return {
    async open(url) {
      assertStartUrl(url)
      const commands = browserCommands(url, { env, platform, isFile: existsSync })
      if (commands.length === 0) {
        throw noBrowser(
          env.BROWSER
            ? 'The BROWSER variable turns the browser off.'
            : 'There is no desktop to open a browser on.',
        )
      }
      const failures: string[] = []
      for (const command of commands) {
        const failure = await launch(command, { env: browserEnvironment(env), platform, spawn })
        if (failure === undefined) return
        failures.push(`${command.file} ${failure}`)
      }
      throw noBrowser(`No browser could be started: ${failures.join('; ')}.`)
    },
  }
}

/** Resolves to what went wrong, or to nothing. */
function launch(
  { file, argv }: BrowserCommand,
  { env, platform, spawn }: Required<BrowserOptions>,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    try {
      const child = spawn(file, argv, {
        env,
        // A launcher's chatter must not get into output that another program reads.
        stdio: 'ignore',
        shell: false,
        // Ctrl-C in the terminal must not close the person's browser. On Windows this would open a console.
        detached: platform !== 'win32',
        windowsHide: true,
      })
      const timer = setTimeout(() => resolve(undefined), launchTime)
      const settle = (failure: string | undefined): void => {
        clearTimeout(timer)
        resolve(failure)
      }
      child.once('error', (error: NodeJS.ErrnoException) =>
        settle(
          error.code === 'ENOENT' ? 'is not installed' : `did not start (${error.code ?? error.message})`,
        ),
      )
      child.once('exit', (code) => settle(code === 0 ? undefined : `ended with ${code ?? 'a signal'}`))
      child.unref()
    } catch (error) {
      resolve(`did not start (${(error as NodeJS.ErrnoException).code ?? 'invalid'})`)
    }
  })
}

/** Nothing that a server chose comes near a launcher: only the characters our own start URLs are made of. */
function assertStartUrl(url: string): void {
  if (/^http:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?\/[A-Za-z0-9/_-]*$/.test(url)) return
  throw new UrlRefusedError({
    message: 'The browser is only ever started on a loopback URL of this program.',
    url: URL.canParse(url) ? new URL(url).origin : '(not a URL)',
    purpose: 'browser',
  })
}

function noBrowser(message: string): UnsupportedError {
  return new UnsupportedError({
    message,
    remedy: 'Open the sign-in URL by hand, or set BROWSER to the command that opens one.',
  })
}
