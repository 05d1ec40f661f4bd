import fs from 'node:fs'
import { join } from 'node:path'
import { serverDomain, tokensKey } from './credentials/identity.ts'
import { misfit } from './credentials/misfit.ts'
import { decodeTokenSet } from './credentials/record.ts'
import { needsRenewal } from './credentials/token-lifetime.ts'
import { weakStep } from './node/path-steps.ts'
import { type PathEnvironment, storeHome, userConfigFile } from './node/paths.ts'
import { credentialCodec, findRecord } from './node/store-document.ts'
import { sealedWith } from './record-seal.ts'

const LONGEST_CONFIG = 1024 * 1024

export interface StoredTokenSurroundings extends PathEnvironment {
  readonly workingDirectory: string
  /** Milliseconds since 1970. */
  readonly now: number
  /** The user whose files are ours; `undefined` where files have no owners. */
  readonly uid: number | undefined
  /** First use loads `node:crypto`, which takes longer than all the rest. */
  readonly sha256: (text: string) => string
}

/**
 * The answer to `latchkey token URL [--account NAME]` where it is plain: a stored token that needs no renewal, read with
 * `node:fs` alone. Anything else (a name, another flag, a config file that may mean this URL, a store that is not as it
 * should be) is `undefined`: the command itself then answers, or says what is wrong.
 */
export function storedToken(
  argv: readonly string[],
  surroundings: StoredTokenSurroundings,
): string | undefined {
  try {
    const asked = understood(argv)
    const { LATCHKEY_DEBUG, LATCHKEY_STORE = 'file' } = surroundings.env
    if (!asked || LATCHKEY_DEBUG || LATCHKEY_STORE !== 'file' || mayBeConfigured(asked.url, surroundings))
      return undefined
    return readToken(asked, surroundings)
  } catch {
    return undefined
  }
}

interface Asked {
  readonly url: URL
  readonly account: string | null
}

function understood(argv: readonly string[]): Asked | undefined {
  const [command, text = '', flag, account, ...rest] = argv
  const isPlain = argv.length === 2 || (flag === '--account' && rest.length === 0)
  if (command !== 'token' || !isPlain || !/^https?:\/\//i.test(text) || !URL.canParse(text)) return undefined
  const url = new URL(text)
  if (url.username !== '' || url.password !== '' || text.includes('#')) return undefined
  if (argv.length === 2) return { url, account: null }
  const isName =
    account !== undefined && /^[\w@.+][\w@.+-]*$/.test(account) && !/^(undefined|null)$/i.test(account)
  return isName ? { url, account } : undefined
}

/** True unless every config file is known not to speak of the host: its spelling there is not looked into. */
function mayBeConfigured({ hostname }: URL, surroundings: StoredTokenSurroundings): boolean {
  const { env, workingDirectory } = surroundings
  if (env.LATCHKEY_CONFIG) return true
  const files = [
    userConfigFile(surroundings),
    join(workingDirectory, 'mcp.json'),
    join(workingDirectory, '.mcp.json'),
  ]
  return files.some((file) => {
    const text = readIfThere(file)
    if (text === undefined) return false
    if (text === UNREAD) return true
    // Escapes, variables, percent signs, other scripts and numbers can all spell a host in another way.
    const isPlainText = /^[\t\n\r\x20-\x7e]*$/.test(text) && !/\\|\$\{|%/.test(text)
    return !isPlainText || /^[\d.]+$|^\[/.test(hostname) || text.toLowerCase().includes(hostname)
  })
}

const UNREAD = Symbol('a pipe, a device, or too long to be looked through')

/** Anybody may have put something there: nothing is waited for, and nothing endless is read. */
function readIfThere(file: string): string | typeof UNREAD | undefined {
  const { O_RDONLY, O_NONBLOCK = 0 } = fs.constants
  let descriptor: number
  try {
    descriptor = fs.openSync(file, O_RDONLY | O_NONBLOCK)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const stats = fs.fstatSync(descriptor)
    if (!stats.isFile() || stats.size > LONGEST_CONFIG) return UNREAD
    return fs.readFileSync(descriptor, 'utf8')
  } finally {
    fs.closeSync(descriptor)
  }
}

function readToken({ url, account }: Asked, surroundings: StoredTokenSurroundings): string | undefined {
  const domain = serverDomain(url.href)
  const tokens = join(storeHome(surroundings), 'tokens')
  if (surroundings.uid !== undefined && weakStep(storeHome(surroundings), surroundings.uid)) return undefined
  const folders =
    account === null
      ? [storeHome(surroundings), tokens]
      : [storeHome(surroundings), tokens, join(tokens, domain)]
  if (!folders.every((folder, index) => isPrivateFolder(folder, index === 0, surroundings.uid)))
    return undefined
  const name = account === null ? domain : surroundings.sha256(account).slice(0, 32)
  const text = readPrivateFile(join(folders.at(-1)!, `${name}.json`), surroundings.uid)
  if (text === undefined) return undefined

  const fitsAccount = (other: string | null): boolean => other === account
  const decoded = credentialCodec({ kind: 'tokens', serverDomain: domain, fitsAccount }).decode(text)
  if (decoded.state !== 'ours') return undefined
  const identity = { serverUrl: url.href, account, configuredClientId: null }
  const found = findRecord(decoded.document, tokensKey(identity))
  const login = found && sealedWith(found.record) === undefined && decodeTokenSet(found.record)
  if (!login || misfit(login, identity, {}) !== undefined) return undefined
  // A bound token is worth nothing alone: the command says so.
  if (login.token_type !== 'bearer') return undefined
  return needsRenewal(login, surroundings.now / 1000) ? undefined : login.access_token
}

/** What the store would narrow or refuse is left to it. */
function isPrivateFolder(folder: string, isHome: boolean, uid: number | undefined): boolean {
  const stats = isHome ? fs.statSync(folder) : fs.lstatSync(folder)
  if (!stats.isDirectory()) return false
  return uid === undefined || (stats.uid === uid && (stats.mode & (isHome ? 0o022 : 0o077)) === 0)
}

function readPrivateFile(file: string, uid: number | undefined): string | undefined {
  if (fs.lstatSync(file).isSymbolicLink()) return undefined
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = fs.constants
  const descriptor = fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  try {
    const stats = fs.fstatSync(descriptor)
    const isOurs = uid === undefined || (stats.uid === uid && (stats.mode & 0o077) === 0 && stats.nlink === 1)
    if (!stats.isFile() || !isOurs) return undefined
    return new TextDecoder('utf-8', { fatal: true }).decode(fs.readFileSync(descriptor))
  } finally {
    fs.closeSync(descriptor)
  }
}
