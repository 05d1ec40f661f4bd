import { mark, type Tone } from './callback-page-mark.ts'
import { pageStyle } from './callback-page-style.ts'
import { escapeHtml, paragraphs, withCode } from './callback-page-text.ts'

/** What a page says, as text; what stands between backticks is code or a host. */
export interface PageContent {
  readonly tone: Tone
  readonly heading: string
  /** What happened. Lines become paragraphs. */
  readonly lead: string
  /** What to do now. */
  readonly next?: { readonly heading: string; readonly text: string; readonly command?: string }
  /** Who asked, who was asked. */
  readonly facts: readonly (readonly [name: string, value: string])[]
  /** Links: the policy of the pages lets no form be sent. */
  readonly choices?: readonly {
    readonly kind: 'continue' | 'decline'
    readonly path: string
    readonly label: string
  }[]
}

/** One HTML document that needs nothing else: no script, no font, no picture. */
export function pageDocument({ tone, heading, lead, next, facts, choices = [] }: PageContent): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(heading)} – latchkey</title>
<style>${pageStyle}</style>
</head>
<body class="${tone}">
<main>
${mark(tone)}
<div role="status">
<h1>${escapeHtml(heading)}</h1>
${paragraphs(lead, ' class="lead"')}
</div>
${next ? nextStep(next) : ''}
${facts.length > 0 ? `<dl>${facts.map(fact).join('')}</dl>` : ''}
${choices.length > 0 ? `<nav aria-label="Your answer">${choices.map(choice).join('')}</nav>` : ''}
</main>
<footer><p>Shown by latchkey on your own computer.${tone === 'success' ? '' : ' Your terminal has the details.'}</p></footer>
</body>
</html>
`
}

function nextStep({ heading, text, command }: NonNullable<PageContent['next']>): string {
  const commandLine = command ? `<code class="command">${escapeHtml(command)}</code>` : ''
  return `<section class="next" aria-labelledby="next"><h2 id="next">${escapeHtml(heading)}</h2>${paragraphs(text)}${commandLine}</section>`
}

function choice({ kind, path, label }: NonNullable<PageContent['choices']>[number]): string {
  return `<a class="${kind}" href="${escapeHtml(path)}">${withCode(label)}</a>`
}

function fact([name, value]: readonly [string, string]): string {
  return `<dt>${escapeHtml(name)}</dt><dd>${withCode(value)}</dd>`
}
