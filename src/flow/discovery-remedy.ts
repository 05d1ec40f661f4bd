import type { ChallengeSummary } from '../errors/index.ts'
import { quoteServerText } from '../errors/server-text.ts'

/** What to do when discovery found nothing: it depends on what the server asked for. */
export function discoveryRemedy(challenge: ChallengeSummary | undefined): string {
  const scheme = challenge?.scheme
  const provider =
    'If you know the authorization server, give its `issuer`, `authorization_endpoint` and `token_endpoint` under `auth.oauth_provider.metadata` (with `client_id`, or a `registration_endpoint`).'
  switch (scheme) {
    case 'bearer':
    case 'dpop':
      return `${provider}\nIf you were given a token or API key, set it: \`auth: "<token>"\`.`
    case 'basic':
      return `The server asks for a user name and password, not for OAuth: set \`auth: basicAuth(user, password)\`, or an \`Authorization\` under \`headers\`.\n${provider}`
    case undefined:
      return `The server does not say how it wants to be asked. If you were given a token or API key, set \`auth: "<token>"\`, or the header it needs under \`headers\`.\n${provider}`
    default:
      return `The server asks for the scheme ${quoteServerText(scheme, 40)}: use custom authentication (a function that signs each request) or \`headers\`.\n${provider}`
  }
}
