import { type ChallengeSummary, type DiscoveryAttempt, DiscoveryFailedError } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'
import { shownUrl } from '../errors/shown-url.ts'

/** The error that says what was asked and what the ways out are. */
export function discoveryFailure(
  { serverUrl, challenge }: { serverUrl: string; challenge: ChallengeSummary | undefined },
  attempts: readonly DiscoveryAttempt[],
): DiscoveryFailedError {
  const lines = attempts.map(
    ({ url, status, contentType, outcome }) =>
      `  ${url} → ${status ?? 'no answer'}${contentType ? ` ${contentType}` : ''} (${outcome})`,
  )
  return new DiscoveryFailedError({
    message: [`No authorization server was found for ${shownUrl(serverUrl)}. Asked:`, ...lines].join('\n'),
    remedy: remedyFor(challenge),
    server: shownUrl(serverUrl),
    attempts,
  })
}

const PROVIDER =
  'If you know the authorization server, give its `issuer`, `authorization_endpoint` and `token_endpoint` under `auth.oauth_provider.metadata`, and the `client_id` you have there (or a `registration_endpoint`).'

/** It depends on what the server asked for, and whether it asked for anything. */
function remedyFor(challenge: ChallengeSummary | undefined): string {
  if (challenge === undefined) {
    return `The server answered without asking for a credential: there may be nothing to sign in to. Use it as it is; \`auth: false\` says that it needs none.\n${PROVIDER}`
  }
  switch (challenge.scheme) {
    case 'bearer':
    case 'dpop':
      return `${PROVIDER}\nIf you were given a token or API key instead, set it: \`auth: "<token>"\`.`
    case 'basic':
      return `The server asks for a user name and password, not for OAuth: set \`auth: basicAuth(user, password)\`, or an \`Authorization\` under \`headers\`.\n${PROVIDER}`
    case undefined:
      return `The server does not say how it wants to be asked. If you were given a token or API key, set \`auth: "<token>"\`, or the header it needs under \`headers\`.\n${PROVIDER}`
    default:
      return `The server asks for the scheme ${quoteServerText(challenge.scheme, 40)}: use custom authentication (a function that signs each request) or \`headers\`.\n${PROVIDER}`
  }
}
