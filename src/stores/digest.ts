import { base64url } from './base64url.ts'

/** SHA-256 in base64url: what may stand in clear where the text itself may not. */
export async function digest(text: string): Promise<string> {
  return base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)))
}
