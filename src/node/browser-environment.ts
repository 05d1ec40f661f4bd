const secretName =
  /^LATCHKEY_|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|APIKEY|PRIVATEKEY|_KEY(_|$)|AUTHORIZATION/i

/** Named like a secret, but a window may not come to the front without it (Wayland). */
const activation = 'XDG_ACTIVATION_TOKEN'

/**
 * The variables a browser is started with. A browser lives for days and shows its environment to all it starts, so
 * whatever is named like a secret stays out. The rest stays: a launcher needs display, session bus, proxy, editor sockets.
 */
export function browserEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => name === activation || !secretName.test(name)),
  )
}
