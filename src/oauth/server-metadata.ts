import * as oauth from 'oauth4webapi'
import { IssuerMismatchError, PkceUnsupportedError } from '../errors/index.ts'
import { cleanServerText, quoteServerText } from '../errors/server-text.ts'
import { isUrl } from '../errors/shown-url.ts'
import type { Fetch, JsonObject } from '../ports.ts'
import { type Answer, cleanResponse, readMetadata, stringListMember, stringMember } from './answer.ts'
import { isIssuer } from './plain-url.ts'

/** Authorization server metadata (RFC 8414 §2) that passed our checks: issuer as asked, endpoints present. */
export interface ServerMetadata extends oauth.AuthorizationServer {
  readonly issuer: string
  /** Present wherever a person signs in; RFC 8414 §2 lets a server for programs leave it out. */
  readonly authorization_endpoint?: string
  readonly token_endpoint: string
}

/** Endpoints that a use of the server cannot do without. */
export type NeededEndpoints = readonly ('authorization_endpoint' | 'token_endpoint')[]

/**
 * Where the metadata of an issuer may be, in the order of MCP 2026-07-28 authorization-server-discovery:
 * RFC 8414 inserted, OpenID inserted, OpenID appended; two of them for an issuer without a path.
 */
export function serverMetadataUrls(issuer: string): string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/+$/, '')
  const wellKnown = `${origin}/.well-known`
  if (path === '') return [`${wellKnown}/oauth-authorization-server`, `${wellKnown}/openid-configuration`]
  return [
    `${wellKnown}/oauth-authorization-server${path}`,
    `${wellKnown}/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
}

export async function requestServerMetadata(
  fetch: Fetch,
  url: string,
  signal?: AbortSignal,
): Promise<Answer> {
  const response = await fetch(url, {
    // A 2025-03-26 server may choose its answer by this header; others ignore it.
    headers: { accept: 'application/json', 'mcp-protocol-version': '2025-03-26' },
    ...(signal && { signal }),
  })
  return readMetadata(response, url)
}

/**
 * Judges a metadata answer. `undefined` when it is no metadata document (the next URL may have one).
 *
 * @throws `issuer_mismatch` when it is one, for another issuer (RFC 8414 §3.3: it must not be used)
 */
export async function processServerMetadata(
  answer: Answer,
  issuer: string,
  needed: NeededEndpoints = ['authorization_endpoint', 'token_endpoint'],
): Promise<ServerMetadata | undefined> {
  const { ok, members, url } = answer
  if (!ok || !members || !hasEndpoints(members, needed)) return undefined
  const actual = stringMember(members, 'issuer')
  // Compared as strings, before oauth4webapi does it on normalised URLs.
  if (actual !== issuer) {
    throw new IssuerMismatchError({
      message: `The metadata at ${url} is for the issuer ${quoteServerText(actual ?? '')}, not for ${quoteServerText(issuer)}.`,
      remedy:
        'Metadata for another issuer must not be used. If you trust this authorization server, give its metadata under `auth.oauth_provider`; else tell the operator.',
      expected: issuer,
      actual,
    })
  }
  // It would be shown, stored and told to programs in the name of somebody else.
  if (!isIssuer(issuer)) return undefined
  const metadata = await oauth.processDiscoveryResponse(new URL(issuer), cleanResponse(tidy(members)))
  return metadata as ServerMetadata
}

/**
 * PKCE with S256 must be advertised (MCP authorization, Authorization Code Protection).
 *
 * @throws `pkce_unsupported`
 */
export function assertPkceSupported(metadata: ServerMetadata): void {
  const supported = metadata.code_challenge_methods_supported
  if (supported?.includes('S256')) return
  const issuer = cleanServerText(metadata.issuer)
  throw new PkceUnsupportedError({
    message: supported
      ? `The authorization server ${issuer} supports PKCE only with ${supported.map((method) => quoteServerText(method, 40)).join(', ') || 'no method'}; S256 is required.`
      : `The metadata of the authorization server ${issuer} does not say that it supports PKCE.`,
    remedy: supported
      ? 'Ask its operator to enable S256.'
      : 'If you know that it does (Microsoft Entra ID and Amazon Cognito leave it out), set `auth.missing_pkce_metadata` to "accept", or give its metadata under `auth.oauth_provider`: what you write there is taken as vouched for.',
    issuer: metadata.issuer,
    supported,
  })
}

/** The endpoints of MCP 2025-03-26 for a server that publishes no metadata at all. */
export function defaultServerMetadata(serverUrl: string) {
  const { origin } = new URL(serverUrl)
  return {
    issuer: origin,
    authorization_endpoint: `${origin}/authorize`,
    token_endpoint: `${origin}/token`,
    registration_endpoint: `${origin}/register`,
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: ['none', 'client_secret_post', 'client_secret_basic'],
  } satisfies ServerMetadata
}

function hasEndpoints(members: JsonObject, needed: NeededEndpoints): boolean {
  return needed.every((name) => isUrl(stringMember(members, name) ?? ''))
}

/** Of what is supported, all but these are lists: `authorization_response_iss_parameter_supported`. */
const FLAG = /_(parameter|document|logout|logout_session)_supported$/

/**
 * Flags that are no flags, lists that are no lists and endpoints that are no strings are left out instead of failing the
 * whole document.
 */
function tidy(members: JsonObject): JsonObject {
  const tidied: JsonObject = { ...members }
  for (const name of Object.keys(members)) {
    if (FLAG.test(name)) {
      tidied[name] = typeof members[name] === 'boolean' ? members[name] : undefined
    } else if (name.endsWith('_supported')) {
      tidied[name] = stringListMember(members, name)
    } else if (name.endsWith('_endpoint')) {
      tidied[name] = stringMember(members, name)
    }
  }
  return tidied
}
