const secretName =
  /^LATCHKEY_|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|APIKEY|PRIVATEKEY|_KEY(_|$)|AUTHORIZATION|SSHPASS|(^|_)(PAT|PASS|PWD|AUTH|DSN)(_|$)/i

/** A user name and a password in a URL: of a database. */
const secretValue = /^[a-z][a-z\d+.-]*:\/\/[^\s/?#@]*:[^\s/?#]*@/i

/**
 * Looks like a secret, but a browser may not work without it: the window does not come to the front (Wayland), no socket is
 * found, no proxy lets it through.
 */
const needed = /^(XDG_ACTIVATION_TOKEN|PWD|OLDPWD|SSH_AUTH_SOCK)$|_proxy$/i

/**
 * The variables a browser is started with. A browser lives for days and shows its environment to all it starts, so
 * whatever looks like a secret stays out. The rest stays: a launcher needs display, session bus, proxy, editor sockets.
 */
export function browserEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, value = '']) => needed.test(name) || !(secretName.test(name) || secretValue.test(value)),
    ),
  )
}
