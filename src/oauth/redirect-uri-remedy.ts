/** The three ways out of an unregistered redirect URI, with the exact string to register. */
export function redirectUriRemedy(redirectUri: string, host: string): string {
  const { port } = new URL(redirectUri)
  return [
    `Either register exactly this redirect URI at ${host}: ${redirectUri}`,
    'or remove `client_id` from `auth`, so that a client is registered by itself (where the server allows it),',
    `or set \`callback_port\` (now ${port}) or \`redirect_uri\` to what is registered there already.`,
  ].join('\n')
}
