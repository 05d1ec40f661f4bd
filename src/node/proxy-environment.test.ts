import { expect, test } from 'vitest'
import { checkedProxies, goesDirect, proxiesOf } from './proxy-environment.ts'

const PROXY = 'http://proxy.example:3128'

test.each([
  [{}, undefined],
  [{ HTTPS_PROXY: '' }, undefined],
  [{ HTTPS_PROXY: PROXY }, { httpProxy: '', httpsProxy: PROXY, noProxy: '' }],
  [
    { https_proxy: PROXY, HTTPS_PROXY: 'http://other' },
    { httpProxy: '', httpsProxy: PROXY, noProxy: '' },
  ],
  [{ HTTPS_PROXY: 'proxy.example:3128' }, { httpProxy: '', httpsProxy: PROXY, noProxy: '' }],
  [{ HTTP_PROXY: PROXY }, { httpProxy: PROXY, httpsProxy: '', noProxy: '' }],
  [
    { HTTPS_PROXY: PROXY, NO_PROXY: '.a.example, b' },
    { httpProxy: '', httpsProxy: PROXY, noProxy: '.a.example,b' },
  ],
  [{ HTTPS_PROXY: PROXY, no_proxy: '*' }, undefined],
])('%j → %j', (env, expected) => {
  expect(proxiesOf(env)).toEqual(expected)
})

const loopback = (address: string) => /^(127(\.\d+){3}|::1)$/.test(address)
test.each([
  ['http://localhost/', true],
  ['http://localhost.:8080/', true],
  ['http://app.localhost/', true],
  ['https://127.0.0.2:8443/', true],
  ['http://127.255.255.254/', true],
  ['http://[::1]:3000/', true],
  ['http://127.0.0.1.example/', false],
  ['http://localhost.example/', false],
  ['https://demo.example/', false],
])('%s goes direct although there are proxies: %s', (url, expected) => {
  const proxies = proxiesOf({ HTTP_PROXY: PROXY, HTTPS_PROXY: PROXY })!
  expect(goesDirect(new URL(url), proxies, loopback)).toBe(expected)
})

test('a Proxy header that a CGI server turned into HTTP_PROXY chooses no proxy (CVE-2016-5385)', () => {
  expect(proxiesOf({ REQUEST_METHOD: 'GET', HTTP_PROXY: PROXY })).toBeUndefined()
})

test.each([
  'ftp://proxy.example',
  'http://',
  'socks5h://proxy.example:1080',
  'http://user:hunter2hunter2@[proxy',
])('%s is no proxy that can be used: an error that names the variable, and not what is in it', (proxy) => {
  const check = () => checkedProxies(proxiesOf({ HTTPS_PROXY: proxy })!)
  expect(check).toThrow(expect.objectContaining({ code: 'config_invalid', key: 'HTTPS_PROXY' }))
  expect(check).not.toThrow(/hunter2/)
})
