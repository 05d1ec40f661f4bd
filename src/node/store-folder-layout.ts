import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { assertKey, canonicalKey } from '../credential-key.ts'
import { StoreFailedError } from '../errors/index.ts'
import type { CredentialKey } from '../ports.ts'
import { lockFolder } from './store-document-file.ts'

type Kind = CredentialKey['kind']

/** Where a document may be: known domain, and an account known by name or only by its digest. */
export interface DocumentLocation {
  readonly path: string
  readonly kind: Kind
  readonly serverDomain: string
  readonly fitsAccount: (account: string | null) => boolean
}

const SUFFIX: Readonly<Record<Kind, string>> = {
  tokens: '.json',
  registrations: '_registration.json',
  sign_ins: '_sign_in.json',
  issuers: '_issuer.json',
}

/** Below the folder of tokens. */
const FOLDER: Readonly<Record<Kind, string>> = {
  tokens: '.',
  registrations: 'registrations',
  sign_ins: 'sign-ins',
  issuers: 'issuers',
}

/** Names stay below the 255 bytes of every file system, with all that is appended to them. */
const LONGEST_DOMAIN = 190

export function tokensFolder(home: string): string {
  return join(home, 'tokens')
}

/** The folder that holds one kind of documents of unnamed accounts, and one folder per domain for the named ones. */
export function kindFolder(home: string, kind: Kind): string {
  return join(tokensFolder(home), FOLDER[kind])
}

/** The folder of the named accounts of a domain. */
export function accountsFolder(
  home: string,
  { kind, serverDomain }: Pick<CredentialKey, 'kind' | 'serverDomain'>,
): string {
  return join(kindFolder(home, kind), fileName(serverDomain))
}

/** The document of a domain and account. Throws `store_failed` for a domain that could lead out of the folder. */
export function documentLocation(
  home: string,
  { kind, serverDomain, account }: Pick<CredentialKey, 'kind' | 'serverDomain' | 'account'>,
): DocumentLocation {
  assertDomain(home, serverDomain)
  const path =
    account === null
      ? join(kindFolder(home, kind), `${fileName(serverDomain)}${SUFFIX[kind]}`)
      : join(accountsFolder(home, { kind, serverDomain }), `${digest(account)}${SUFFIX[kind]}`)
  return { path, kind, serverDomain, fitsAccount: (other) => other === account }
}

/** The files of the lock that belongs to one record; records of one document do not wait for each other. */
export function recordLock(home: string, key: CredentialKey): string {
  assertKey(key)
  const name = createHash('sha256').update(canonicalKey(key)).digest('hex').slice(0, 16)
  return join(lockFolder(documentLocation(home, key).path), `record-${name}`)
}

/** The domain of an unnamed account's document by its file name, or `undefined` for other files. */
export function domainOfFile(kind: Kind, name: string): string | undefined {
  const suffix = SUFFIX[kind]
  return name.endsWith(suffix) ? domainOfName(name.slice(0, -suffix.length)) : undefined
}

/** The domain that a folder of accounts is named by, or `undefined` for other folders. */
export function domainOfName(name: string): string | undefined {
  const domain = name.startsWith(ESCAPE) ? name.slice(ESCAPE.length) : name
  return isDomain(domain) && fileName(domain) === name ? domain : undefined
}

/** The location of a named account's document by its file name, or `undefined` for other files. */
export function namedDocument(
  home: string,
  { kind, serverDomain, name }: { kind: Kind; serverDomain: string; name: string },
): DocumentLocation | undefined {
  const suffix = SUFFIX[kind]
  const hash = name.endsWith(suffix) ? name.slice(0, -suffix.length) : ''
  if (!/^[0-9a-f]{32}$/.test(hash)) return undefined
  return {
    path: join(accountsFolder(home, { kind, serverDomain }), name),
    kind,
    serverDomain,
    fitsAccount: (account) => account !== null && digest(account) === hash,
  }
}

/**
 * True for what `server_domain` of a URL can be: lower-case ASCII, no separator, no `..`, not hidden. No dot at the end
 * either, which Windows drops: two hosts would have one folder.
 */
function isDomain(name: string): boolean {
  return (
    name.length <= LONGEST_DOMAIN &&
    /^[a-z0-9_-]([a-z0-9._-]*[a-z0-9_-])?$/.test(name) &&
    !name.includes('..')
  )
}

/** Names of devices on Windows, whatever follows their first dot. No domain begins with the escape. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/
const ESCAPE = '+'

function fileName(domain: string): string {
  return DEVICE.test(domain) ? `${ESCAPE}${domain}` : domain
}

function assertDomain(home: string, serverDomain: string): void {
  if (isDomain(serverDomain)) return
  const shown = JSON.stringify(serverDomain.slice(0, LONGEST_DOMAIN + 10))
  throw new StoreFailedError({
    location: tokensFolder(home),
    message: `${shown} cannot be part of a file name; expected a lower-case ASCII host name of at most ${LONGEST_DOMAIN} characters.`,
    remedy: 'Use another host name for the server in `url`, or another store.',
  })
}

/** An account is any string: its digest is safe in a file name. The document repeats the account itself. */
function digest(account: string): string {
  return createHash('sha256').update(account, 'utf8').digest('hex').slice(0, 32)
}
