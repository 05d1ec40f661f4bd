import { ConfigUntrustedError } from '../errors/index.ts'
import { shellWord } from '../errors/shell-word.ts'
import { invalid, isRecord, keyPath, quote } from './problem.ts'

/** Environment variables by name, as `process.env` has them. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Whether `${VAR}` in a configuration may read the environment. */
export type Expansion =
  /** A file that someone vouched for: references are replaced. */
  | { readonly mode: 'allowed'; readonly env: Environment }
  /** Any other file: a reference is `config_untrusted`, naming `path`. */
  | { readonly mode: 'refused'; readonly path: string }
  /** An object from the program: text stays as it is. */
  | { readonly mode: 'off' }

/** Where a reference may stand: anywhere, nowhere, or after the host of a URL. */
export type Place = 'text' | 'url' | 'host'

/**
 * Replaces `${VAR}`, `${VAR:-default}` and `${env:VAR}` in every string of `value`; `placeOf` says of a key below
 * `value` what kind of text it holds. A default holds for an unset and for an empty variable, as in a shell.
 *
 * Throws `config_invalid` (unset variable, reference in a host name, a reference of another kind) and
 * `config_untrusted`.
 */
export function expand(
  value: unknown,
  key: string,
  expansion: Expansion,
  place: Place = 'text',
  placeOf: (key: string) => Place = () => place,
): unknown {
  if (expansion.mode === 'off') return value
  if (typeof value === 'string') return expandText(value, key, expansion, place)
  if (Array.isArray(value)) {
    return value.map((item, index) => expand(item, keyPath(key, index), expansion, place, placeOf))
  }
  if (!isRecord(value)) return value
  const expanded: Record<string, unknown> = Object.create(null)
  for (const [member, inner] of Object.entries(value)) {
    expanded[member] = expand(inner, keyPath(key, member), expansion, placeOf(member), placeOf)
  }
  return expanded
}

/**
 * Keys of `auth` that name a file, a variable or a program do what a reference does, and more; others hold what the person
 * vouches for in place of a check. Nobody's file may have them unless somebody vouched for it. Throws `config_untrusted`.
 */
export function assertTrusted(auth: unknown, key: string, expansion: Expansion): void {
  if (expansion.mode !== 'refused' || !isRecord(auth)) return
  for (const [member, inner] of Object.entries(auth)) {
    const at = keyPath(key, member)
    if (SOURCE_KEY.test(member)) throw untrusted(at, READS, expansion.path)
    if (VOUCHING_KEY.test(member)) throw untrusted(at, VOUCHES, expansion.path)
    assertTrusted(inner, at, expansion)
  }
}

/** A program is started, with this machine's rights and environment, for nobody's file either. Throws `config_untrusted`. */
export function assertMayStart(key: string, expansion: Expansion): void {
  if (expansion.mode === 'refused') throw untrusted(key, STARTS, expansion.path)
}

/** Keys of `auth` that say where on this machine a secret is. */
export const SOURCE_KEY = /(_file|_env|_command|File|Env|Command)$/

/**
 * Keys of `auth` that stand above what the servers say of themselves: with them a file could send the code of an honest
 * authorization server elsewhere, have a token made for somebody else's server, or keep the person from being asked.
 */
export const VOUCHING_KEY =
  /^(oauth_provider|oauthProvider|authorization_hosts|authorizationHosts|missing_pkce_metadata|missingPkceMetadata|private_addresses|privateAddresses|resource)$/

const READS =
  'refers to something of this machine, but nobody vouched for {file}, and what it names would be sent where this file says.'
const VOUCHES = 'stands above what the servers say of themselves, but nobody vouched for {file}.'
const STARTS = 'starts a program on this machine, but nobody vouched for {file}.'

function expandText(
  text: string,
  key: string,
  expansion: Exclude<Expansion, { mode: 'off' }>,
  place: Place,
): string {
  if (!text.includes('${')) return text
  const references = [...text.matchAll(/\$\{([^}]*)\}?/g)]
  for (const [whole, inner = ''] of references) {
    if (inner.startsWith('input:')) throw inputReference(key, inner)
    if (!whole.endsWith('}')) throw invalid(key, `a "\${" is not closed by "}".`)
  }
  if (expansion.mode === 'refused') throw untrusted(key, READS, expansion.path)
  if (place === 'host' || (place === 'url' && !AFTER_HOST.test(text.slice(0, text.indexOf('${'))))) {
    throw invalid(
      key,
      'a variable in the scheme, user, host or port of a URL, expected one only after the host.',
      'Write the host itself: whoever controls the variable would choose who receives your credentials.',
    )
  }
  return text.replace(/\$\{([^}]*)\}/g, (_, inner: string) => lookUp(inner, key, expansion.env))
}

/**
 * A URL up to and past its host. Nothing behind it can change where the URL leads: the host is not empty (`https:///x`
 * leads to x) and holds no white space (tabs and line ends are dropped by URL parsers).
 */
const AFTER_HOST = /^[a-z][a-z0-9+.-]*:\/\/[^\s/?#\\]+[/?#\\]/i

const REFERENCE = /^(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-([\s\S]*))?$/

/** The variables that a text refers to, in order. What is no reference is left out. */
export function variablesIn(text: string): string[] {
  return [...text.matchAll(/\$\{([^}]*)\}/g)].flatMap(([, inner = '']) => REFERENCE.exec(inner)?.[1] ?? [])
}

function lookUp(inner: string, key: string, env: Environment): string {
  const [, name, fallback] = REFERENCE.exec(inner) ?? []
  if (name === undefined) {
    throw invalid(
      key,
      `a "\${…}" that is no reference to a variable, expected \${VAR}, \${VAR:-default} or \${env:VAR}.`,
    )
  }
  if (fallback?.includes('${')) throw invalid(key, `the default of \${${name}} holds another reference.`)
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  if (fallback !== undefined && (value === undefined || value === '')) return fallback
  if (value !== undefined) return value
  if (EDITOR_VARIABLES.has(name)) {
    throw invalid(
      key,
      `\${${name}} is known to the editor only.`,
      `Write the path itself, or use \${env:HOME}.`,
    )
  }
  throw invalid(
    key,
    `refers to the variable ${name}, which is not set.`,
    `Set ${name}, or give a default: \${${name}:-…}.`,
  )
}

/** VS Code's predefined variables; Cursor knows the first ones too. */
const EDITOR_VARIABLES: ReadonlySet<string> = new Set([
  'workspaceFolder',
  'workspaceFolderBasename',
  'userHome',
  'pathSeparator',
  'cwd',
  'file',
  'fileDirname',
  'relativeFile',
])

function inputReference(key: string, inner: string) {
  const id = inner.slice('input:'.length)
  const variable =
    id
      .replace(/[^A-Za-z0-9]+/g, '_')
      .replace(/^(?=\d)|^_+|_+$/g, '')
      .toUpperCase() || 'TOKEN'
  const name = /^\d/.test(variable) ? `INPUT_${variable}` : variable
  return invalid(
    key,
    `the input ${quote(id)} is asked for by VS Code; there is nobody to ask here.`,
    `Write \${env:${name}} instead and set the variable ${name}.`,
  )
}

function untrusted(key: string, because: string, path: string): ConfigUntrustedError {
  return new ConfigUntrustedError({
    path,
    message: `${key}: ${because.replace('{file}', () => quote(path))}`,
    remedy: `Read the file, then run: latchkey trust ${shellWord(path)}\n(in a program: fromConfigFile(path, { trusted: true }))`,
  })
}
