import { expect, test } from 'vitest'
import { literalSecrets } from './literal-secrets.ts'
import { parseConfigText } from './parse.ts'
import { findServers } from './shape.ts'

test('names what would be committed, and nothing that comes from a variable', () => {
  const text = `{ "mcpServers": {
    "bearer": { "url": "https://a.example/mcp", "auth": "abc" },
    "variable": { "url": "https://a.example/mcp", "auth": "\${API_KEY}" },
    "none": { "url": "https://a.example/mcp", "auth": false },
    "client": { "url": "https://a.example/mcp", "auth": { "client_id": "id", "client_secret": "s" } },
    "cursor": { "url": "https://a.example/mcp", "auth": { "CLIENT_ID": "id", "CLIENT_SECRET": "s" } },
    "prefixed": { "url": "https://a.example/mcp", "headers": { "Authorization": "Bearer \${T}", "X-Api-Key": "k" } },
    "my files": { "command": "x", "env": { "GITHUB_TOKEN": "ghp", "HOME": "/root" } }
  } }`
  expect(literalSecrets(findServers(parseConfigText(text, 'mcp.json')))).toEqual([
    'mcpServers.bearer.auth',
    'mcpServers.client.auth.client_secret',
    'mcpServers.cursor.auth.CLIENT_SECRET',
    'mcpServers.prefixed.headers.X-Api-Key',
    'mcpServers["my files"].env.GITHUB_TOKEN',
  ])
})
