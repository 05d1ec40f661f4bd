import { expect, test } from 'vitest'
import {
  chooseConfigFile,
  hostConfigFiles,
  type PathEnvironment,
  storeHome,
  userConfigFile,
} from './paths.ts'

function on(platform: NodeJS.Platform, env: Record<string, string> = {}): PathEnvironment {
  return { env, platform, homedir: platform === 'win32' ? 'C:\\Users\\jane' : '/home/jane' }
}

test.each<[string, PathEnvironment, string]>([
  ['Linux', on('linux'), '/home/jane/.mcp_use'],
  ['Windows', on('win32'), 'C:\\Users\\jane\\.mcp_use'],
  ['LATCHKEY_HOME', on('linux', { LATCHKEY_HOME: '/srv/keys/' }), '/srv/keys/'],
  ['an empty LATCHKEY_HOME', on('linux', { LATCHKEY_HOME: '' }), '/home/jane/.mcp_use'],
  ['LATCHKEY_HOME on Windows', on('win32', { LATCHKEY_HOME: 'D:/keys' }), 'D:\\keys'],
])('store home: %s', (_, environment, expected) => {
  expect(storeHome(environment)).toBe(expected)
})

test.each(['keys', './keys', '~/keys'])(
  'a LATCHKEY_HOME of %s would move with the working directory',
  (value) => {
    expect(() => storeHome(on('linux', { LATCHKEY_HOME: value }))).toThrow(
      expect.objectContaining({ code: 'config_invalid', key: 'LATCHKEY_HOME' }),
    )
  },
)

test.each<[string, PathEnvironment, string]>([
  ['nothing set', on('linux'), '/home/jane/.config/latchkey/mcp.json'],
  ['XDG_CONFIG_HOME', on('linux', { XDG_CONFIG_HOME: '/cfg' }), '/cfg/latchkey/mcp.json'],
  [
    'a relative XDG_CONFIG_HOME',
    on('linux', { XDG_CONFIG_HOME: 'cfg' }),
    '/home/jane/.config/latchkey/mcp.json',
  ],
  ['Windows', on('win32'), 'C:\\Users\\jane\\.config\\latchkey\\mcp.json'],
])('user config file: %s', (_, environment, expected) => {
  expect(userConfigFile(environment)).toBe(expected)
})

test('the flag wins over LATCHKEY_CONFIG, and that over the default', () => {
  const environment = on('linux', { LATCHKEY_CONFIG: '/from/variable.json' })
  expect(chooseConfigFile(environment, 'flag.json')).toEqual({ path: 'flag.json', origin: '--config' })
  expect(chooseConfigFile(environment)).toEqual({ path: '/from/variable.json', origin: 'LATCHKEY_CONFIG' })
  expect(chooseConfigFile(on('linux'))).toEqual({
    path: '/home/jane/.config/latchkey/mcp.json',
    origin: 'default',
  })
})

test.each<[NodeJS.Platform, Record<string, string>, string[]]>([
  [
    'linux',
    {},
    ['/home/jane/.config/Claude/claude_desktop_config.json', '/home/jane/.config/Code/User/mcp.json'],
  ],
  [
    'darwin',
    {},
    [
      '/home/jane/Library/Application Support/Claude/claude_desktop_config.json',
      '/home/jane/Library/Application Support/Code/User/mcp.json',
    ],
  ],
  [
    'win32',
    { APPDATA: 'C:\\Users\\jane\\AppData\\Roaming' },
    [
      'C:\\Users\\jane\\AppData\\Roaming\\Claude\\claude_desktop_config.json',
      'C:\\Users\\jane\\AppData\\Roaming\\Code\\User\\mcp.json',
    ],
  ],
])('user-level files of known programs on %s', (platform, env, expected) => {
  expect(hostConfigFiles(on(platform, env))).toEqual(expect.arrayContaining(expected))
  expect(hostConfigFiles(on(platform, env))).toHaveLength(4)
})
