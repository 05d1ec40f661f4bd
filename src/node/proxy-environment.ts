import { ConfigInvalidError } from '../errors/index.ts'

/** The proxies of an environment, as undici's `EnvHttpProxyAgent` takes them. Empty: none for this scheme. */
export interface Proxies {
  readonly httpProxy: string
  readonly httpsProxy: string
  readonly noProxy: string
}

const SCHEMES = ['http:', 'https:', 'socks5:']

/**
 * `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, the lower-case spelling first. `HTTP_PROXY` does not count in a CGI program,
 * where a client's `Proxy` header would set it (CVE-2016-5385).
 */
export function proxiesOf(env: Readonly<Record<string, string | undefined>>): Proxies | undefined {
  const httpProxy = env.http_proxy || (env.REQUEST_METHOD ? '' : env.HTTP_PROXY) || ''
  const httpsProxy = env.https_proxy || env.HTTPS_PROXY || ''
  const exceptions = (env.no_proxy || env.NO_PROXY || '').split(/[,\s]+/).filter(Boolean)
  if ((!httpProxy && !httpsProxy) || exceptions.includes('*')) return undefined
  const [http, https] = [httpProxy, httpsProxy].map(withScheme) as [string, string]
  return { httpProxy: http, httpsProxy: https, noProxy: exceptions.join(',') }
}

/**
 * Whether a URL is asked for without a proxy whatever the exceptions say: what is on this machine, and https where only
 * http has a proxy, which undici would take for both.
 */
export function goesDirect(
  { protocol, hostname }: URL,
  { httpsProxy }: Proxies,
  isLoopback: (address: string) => boolean,
): boolean {
  if (protocol === 'https:' && httpsProxy === '') return true
  const host = hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
  return host === 'localhost' || host.endsWith('.localhost') || isLoopback(host)
}

/** As curl and others take it: `proxy.example:3128` is an http proxy. */
function withScheme(proxy: string): string {
  return proxy === '' || proxy.includes('://') ? proxy : `http://${proxy}`
}

/** @throws `config_invalid` for a proxy that cannot be used; its address, which may hold a password, is not shown */
export function checkedProxies(proxies: Proxies): Proxies {
  for (const [variable, proxy] of [
    ['HTTP_PROXY', proxies.httpProxy],
    ['HTTPS_PROXY', proxies.httpsProxy],
  ] as const) {
    if (proxy === '' || (URL.canParse(proxy) && SCHEMES.includes(new URL(proxy).protocol))) continue
    throw new ConfigInvalidError({
      key: variable,
      message: `The environment variable ${variable} names no proxy that can be used.`,
      remedy:
        'Expected an address as http://proxy.example:3128 (or https:, socks5:). Unset it to go without.',
    })
  }
  return proxies
}
