/** The way out for an authorization server that refuses RFC 8707's `resource`. */
export const RESOURCE_REMEDY =
  'The authorization server does not accept this `resource`. Set `auth.resource` to the URI it expects, or to "off" (Microsoft Entra ID).'

/** Entra ID says it with numbers of its own: `resource` beside scopes, unknown resource. */
export function blamesResource(description: string | undefined): boolean {
  return /\bAADSTS(9010010|901002|500011)\b/.test(description ?? '')
}
