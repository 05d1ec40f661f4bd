import type { LoginStatus } from '../credentials/login-status.ts'
import { cleanServerText } from '../errors/server-text.ts'
import { fields } from './text-block.ts'
import { moment } from './times.ts'

/** A login as lines for a person: a heading, then what is known. `now` in seconds since 1970. */
export function statusBlock(status: LoginStatus, now: number, heading = headingOf(status)): string[] {
  const { url, issuer, resource, scope, token_type, exceptions, address_check, location, next } = status
  const known: [string, string | undefined][] = [
    ['url', url === status.server ? undefined : url || undefined],
    ['method', methodOf(status)],
    ['account', status.method === 'oauth' ? (status.account ?? '(unnamed)') : undefined],
    ['issuer', issuer],
    ['resource', resource === url ? undefined : resource],
    ['scope', scope],
    ['allowed', exceptions && listed(exceptions)],
    ['addresses', address_check === 'by_name' ? 'judged by name alone: the proxy resolves them' : undefined],
    ['bound', token_type === 'dpop' ? 'to a key kept with the login (DPoP)' : undefined],
    ['expires', expiryOf(status, now)],
    ['stored', status.method === 'oauth' && status.state !== 'signed_out' ? location : undefined],
    ['next', next === '' ? undefined : next],
  ]
  const entries = known.filter((entry): entry is [string, string] => entry[1] !== undefined)
  // A path is copied, a next command is typed: neither is cut.
  return [heading, ...fields(entries.map(([label, value]) => [label, cleanServerText(value, 2000)]))]
}

/** As it is written in the configuration: `missing_pkce_metadata: accept`. */
function listed(exceptions: NonNullable<LoginStatus['exceptions']>): string {
  return Object.entries(exceptions)
    .map(([name, value]) => `${name}: ${value}`)
    .join(', ')
}

const STATES: Readonly<Record<LoginStatus['state'], string>> = {
  signed_in: 'signed in',
  expired_refreshable: 'signed in',
  expired: 'login expired',
  signed_out: 'not signed in',
  configured: 'configured',
}

function headingOf({ server, state }: LoginStatus): string {
  return `${cleanServerText(server)}: ${STATES[state]}`
}

function methodOf({ method, grant, client_kind, client_id, state }: LoginStatus): string {
  switch (method) {
    case 'oauth':
      if (grant) return `OAuth, grant ${grant}${client_id === undefined ? '' : `, client ${client_id}`}`
      if (state === 'signed_out') return 'OAuth'
      if (client_kind === 'dynamic') return 'OAuth, client registered automatically'
      return client_kind === 'metadata-document'
        ? `OAuth, client described at ${client_id}`
        : `OAuth, pre-registered client ${client_id}`
    case 'bearer':
      return 'bearer token from the configuration'
    case 'headers':
      return 'Authorization header from the configuration'
    case 'custom':
      return 'custom, from the program'
    case 'none':
      return 'none: auth is false'
    case 'stdio':
      return 'none: a program on this machine'
  }
}

function expiryOf({ state, expires_at, refreshable }: LoginStatus, now: number): string | undefined {
  if (state === 'signed_out' || state === 'configured') return undefined
  const when = expires_at === undefined ? 'not said by the server' : moment(expires_at, now)
  if (refreshable) return `${when}; renewed without you`
  return state === 'expired' ? when : `${when}; no refresh token, so it cannot be renewed without you`
}
