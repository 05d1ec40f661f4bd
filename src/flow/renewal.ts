import type { OAuthSettings } from '../definitions.ts'
import { TokenRequestRefusedError } from '../errors/index.ts'
import type { FlowContext } from './context.ts'
import { type GrantSettings, usesGrant } from './grant.ts'
import { repeatGrant } from './obtain-token.ts'
import { type RefreshableTokens, refresh } from './refresh.ts'
import type { TokenSet } from './token-set.ts'

/** How a stored login gets new tokens without a person. */
export interface Renewal {
  /** Whether this login can. */
  readonly isPossible: (tokens: TokenSet) => boolean
  /**
   * @param patient wait longer where the server does not answer; else the caller has something to go on with
   * @throws `token_request_refused`, `network_failed`, `response_invalid`
   */
  readonly renew: (tokens: TokenSet, patient: boolean, context: FlowContext) => Promise<TokenSet>
  /** Whether the login is over with this error, so that what is stored of it goes. */
  readonly isFinal: (error: unknown, tokens: TokenSet) => boolean
}

/** The renewal that these settings ask for. */
export function renewalOf(settings: OAuthSettings): Renewal {
  return usesGrant(settings) ? byGrant(settings) : byRefreshToken(settings)
}

function byRefreshToken({ client_secret }: OAuthSettings): Renewal {
  return {
    isPossible: isRefreshable,
    renew: (tokens, patient, context) => {
      if (!isRefreshable(tokens)) throw new TypeError('A login without a refresh token is not renewed')
      const clientSecret = tokens.client_kind === 'dynamic' ? tokens.client_secret : client_secret
      return refresh(tokens, { clientSecret, patient }, context)
    },
    isFinal,
  }
}

/** The login stays whatever the server says: it holds the issuer, and the credentials are those of the configuration. */
function byGrant(settings: GrantSettings): Renewal {
  return {
    isPossible: () => true,
    renew: (tokens, _patient, context) => repeatGrant(tokens, settings, context),
    isFinal: () => false,
  }
}

function isRefreshable(tokens: TokenSet): tokens is RefreshableTokens {
  return tokens.refresh_token !== undefined
}

/** Only a parsed OAuth error ends a login; for a configured client a refused client is a matter of configuration. */
function isFinal(error: unknown, { client_kind }: TokenSet): boolean {
  if (!(error instanceof TokenRequestRefusedError)) return false
  if (error.error === 'invalid_grant') return true
  return (
    client_kind !== 'pre-registered' &&
    (error.error === 'invalid_client' || error.error === 'unauthorized_client')
  )
}
