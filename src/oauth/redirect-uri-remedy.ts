/** The three ways out of an unregistered redirect URI, with the exact string to register. */
export function redirectUriRemedy(redirectUri: string, host: string): string {
  const port = new URL(redirectUri).port || '80'
  return [
    `Either register exactly this redirect URI at ${host}: ${redirectUri}`,
    'or remove `client_id` from `auth`, so that a client is registered by itself (where the server allows it),',
    `or set \`callback_port\` (now ${port}) or \`redirect_uri\` to what is registered there already.`,
  ].join('\n')
}

/** Whether an error is about the redirect URI, whatever code the server has for that. */
export function blamesRedirectUri(error: string, description: string | null | undefined): boolean {
  if (error === 'redirect_uri_mismatch' || error === 'invalid_redirect_uri') return true
  return error === 'invalid_request' && /redirect[_ ]ur[il]|AADSTS50011/i.test(description ?? '')
}
