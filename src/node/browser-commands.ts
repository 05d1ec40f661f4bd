import { win32 } from 'node:path'

/** A program with its arguments, for a spawn without a shell. */
export interface BrowserCommand {
  readonly file: string
  readonly argv: readonly string[]
}

export interface BrowserSurroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly platform: NodeJS.Platform
  readonly isFile: (path: string) => boolean
}

/** The commands that may open `url` for the person, best first. None: there is no use in trying. */
export function browserCommands(
  url: string,
  { env, platform, isFile }: BrowserSurroundings,
): BrowserCommand[] {
  if (platform === 'win32') return [windowsCommand(url, env)]
  const chosen = env.BROWSER?.trim()
  if (chosen) return chosen === 'none' ? [] : chosenCommands(chosen, url, isFile)
  if (platform === 'darwin') return [{ file: 'open', argv: [url] }]
  return desktopCommands(url, env)
}

/** By its whole path, since Windows looks for a bare name in the working directory first. */
function windowsCommand(url: string, env: BrowserSurroundings['env']): BrowserCommand {
  const windows = env.SystemRoot ?? env.SYSTEMROOT ?? 'C:\\Windows'
  return {
    file: win32.join(windows, 'System32', 'rundll32.exe'),
    argv: ['url.dll,FileProtocolHandler', url],
  }
}

/** `BROWSER` is a list of commands with `:` between them; `%s` stands for the URL, `%%` for a percent sign. */
function chosenCommands(list: string, url: string, isFile: BrowserSurroundings['isFile']): BrowserCommand[] {
  return list
    .split(':')
    .map((command) => command.trim())
    .filter((command) => command !== '')
    .map((command) => {
      // `/mnt/c/Program Files/…/chrome.exe` is one word.
      const [file = '', ...words] = isFile(command) ? [command] : command.split(/\s+/)
      let placed = false
      const argv = words.map((word) =>
        word.replace(/%[s%]/g, (mark) => {
          if (mark === '%%') return '%'
          placed = true
          return url
        }),
      )
      return { file, argv: placed ? argv : [...argv, url] }
    })
}

function desktopCommands(url: string, env: BrowserSurroundings['env']): BrowserCommand[] {
  const desktop = Boolean(env.DISPLAY || env.WAYLAND_DISPLAY)
  const windows = Boolean(env.WSL_DISTRO_NAME || env.WSL_INTEROP)
  const launchers = [
    ...(desktop ? [['xdg-open']] : []),
    // Under WSL the person's browser is the one of Windows, with or without a Linux desktop.
    ...(windows ? [['wslview'], ['rundll32.exe', 'url.dll,FileProtocolHandler']] : []),
    ...(desktop ? [['x-www-browser'], ['gnome-open']] : []),
  ]
  return launchers.map(([file = '', ...words]) => ({ file, argv: [...words, url] }))
}
