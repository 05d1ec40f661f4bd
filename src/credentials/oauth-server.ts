import type { HttpServerDefinition, OAuthSettings } from '../definitions.ts'

/** A server of the OAuth method. */
export type OAuthServer = Pick<HttpServerDefinition, 'name' | 'url' | 'headers'> & {
  readonly settings: OAuthSettings
}
