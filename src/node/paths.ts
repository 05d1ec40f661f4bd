import path from 'node:path'
import { ConfigInvalidError } from '../errors/index.ts'

/** What of the machine decides where files are. `node.ts` fills it from `process` and `os`. */
export interface PathEnvironment {
  readonly env: Readonly<Record<string, string | undefined>>
  /** `os.homedir()` */
  readonly homedir: string
  readonly platform: NodeJS.Platform
}

/** A config file to read, and who said so: `--config`, `LATCHKEY_CONFIG`, or nobody (the user's own file). */
export interface ConfigLocation {
  readonly path: string
  readonly origin: '--config' | 'LATCHKEY_CONFIG' | 'default'
}

/**
 * The folder everything is kept in: `LATCHKEY_HOME`, else `~/.mcp_use`.
 * Throws `config_invalid` for a relative `LATCHKEY_HOME`: logins would depend on the working directory.
 */
export function storeHome({ env, homedir, platform }: PathEnvironment): string {
  const { join, isAbsolute, normalize } = flavour(platform)
  const home = env.LATCHKEY_HOME
  if (!home) return join(homedir, '.mcp_use')
  if (!isAbsolute(home)) {
    throw new ConfigInvalidError({
      key: 'LATCHKEY_HOME',
      message: `LATCHKEY_HOME is ${JSON.stringify(home)}; expected an absolute path.`,
      remedy: `Set LATCHKEY_HOME=${join(homedir, '.mcp_use')}, or unset it.`,
    })
  }
  return normalize(home)
}

/** The user's own config file: `$XDG_CONFIG_HOME/latchkey/mcp.json`, where a relative or unset variable means `~/.config`. */
export function userConfigFile(environment: PathEnvironment): string {
  return flavour(environment.platform).join(configHome(environment), 'latchkey', 'mcp.json')
}

/** Which config file the command reads: the flag, else `LATCHKEY_CONFIG`, else {@link userConfigFile}. Relative paths stay so. */
export function chooseConfigFile(environment: PathEnvironment, flag?: string): ConfigLocation {
  if (flag !== undefined) return { path: flag, origin: '--config' }
  const variable = environment.env.LATCHKEY_CONFIG
  if (variable) return { path: variable, origin: 'LATCHKEY_CONFIG' }
  return { path: userConfigFile(environment), origin: 'default' }
}

/** User-level MCP config files of Claude Desktop, VS Code, Cursor and Claude Code: as much the user's own as ours is. */
export function hostConfigFiles(environment: PathEnvironment): string[] {
  const { homedir, platform } = environment
  const { join } = flavour(platform)
  const applications = applicationData(environment)
  return [
    join(applications, 'Claude', 'claude_desktop_config.json'),
    join(applications, 'Code', 'User', 'mcp.json'),
    join(homedir, '.cursor', 'mcp.json'),
    join(homedir, '.claude.json'),
  ]
}

function applicationData(environment: PathEnvironment): string {
  const { env, homedir, platform } = environment
  const { join } = flavour(platform)
  if (platform === 'darwin') return join(homedir, 'Library', 'Application Support')
  if (platform === 'win32') return env.APPDATA || join(homedir, 'AppData', 'Roaming')
  return configHome(environment)
}

/** XDG Base Directory Specification: a relative value is to be ignored. */
function configHome({ env, homedir, platform }: PathEnvironment): string {
  const { join, isAbsolute } = flavour(platform)
  const configured = env.XDG_CONFIG_HOME
  return configured && isAbsolute(configured) ? configured : join(homedir, '.config')
}

function flavour(platform: NodeJS.Platform): path.PlatformPath {
  return platform === 'win32' ? path.win32 : path.posix
}
