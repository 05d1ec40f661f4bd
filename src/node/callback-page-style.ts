import { createHash } from 'node:crypto'

/**
 * The style of every page: one narrow column that reads the same at 320 px and at 400 % zoom. All text keeps 4.5:1
 * against its ground in both schemes, all signs 3:1. A host goes to the next line as a whole before it is broken: not at
 * `xn-`, as if the name began behind it.
 */
export const pageStyle = `
:root{color-scheme:light dark;--ground:#f4f2ee;--card:#fff;--line:#dfdbd3;--text:#1f2328;--soft:#575e68;--well:#f4f2ee;--tone:#1b7a49;--tint:#e2f2e8}
.error{--tone:#b42a22;--tint:#fbe7e4}
.cancelled{--tone:#59616d;--tint:#e9ebee}
.expired,.question{--tone:#8f5600;--tint:#f9ecd6}
@media (prefers-color-scheme:dark){
:root{--ground:#131518;--card:#1c1f24;--line:#343941;--text:#eceae5;--soft:#a9b0ba;--well:#131518;--tone:#68d29b;--tint:#1d3a2c}
.error{--tone:#ff958b;--tint:#47221f}
.cancelled{--tone:#b7bec9;--tint:#31363e}
.expired,.question{--tone:#f2bd68;--tint:#40301a}
}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100svh;display:flex;flex-direction:column;align-items:center;justify-content:center;padding:1.5rem 1rem;background:var(--ground);color:var(--text);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere;-webkit-text-size-adjust:100%}
main{width:100%;max-width:31rem;padding:2.25rem 2.25rem 2rem;background:var(--card);border:1px solid var(--line);border-radius:1rem;box-shadow:0 1px 2px rgb(0 0 0/.04),0 12px 32px -12px rgb(0 0 0/.12)}
.mark{display:block;margin:0 0 1.375rem -.125rem}
.ground{fill:var(--tint)}
.key{stroke:var(--tone)}
.sign{stroke:var(--card)}
.sign circle{fill:var(--tone)}
h1{margin:0 0 .625rem;font-size:1.625rem;line-height:1.25;font-weight:650;letter-spacing:-.012em;text-wrap:balance}
p{margin:0 0 .625rem;text-wrap:pretty}
.lead{color:var(--soft);font-size:1.0625rem}
h2{margin:0 0 .375rem;font-size:1rem;line-height:1.4;font-weight:650}
.next{margin-top:1.375rem;padding:1rem 1.125rem;background:var(--well);border-radius:.625rem}
.next p:last-child{margin-bottom:0}
code{font:.9em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
p code,dd code,nav code{display:inline-block;max-width:100%;font-weight:inherit;word-break:break-all}
p code{padding:0 .35em;background:var(--card);border:1px solid var(--line);border-radius:.3em;color:var(--text)}
.command{display:block;margin-top:.5rem;padding:.5rem .75rem;background:var(--card);border:1px solid var(--line);border-radius:.375rem;white-space:pre-wrap;user-select:all;-webkit-user-select:all}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.375rem 1.25rem;margin:1.375rem 0 0;padding-top:1.125rem;border-top:1px solid var(--line);font-size:.9375rem}
dt{color:var(--soft)}
dd{margin:0;font-weight:500;word-break:break-word}
nav{display:flex;flex-wrap:wrap;gap:.75rem;margin-top:1.5rem}
nav a{padding:.625rem 1.125rem;border:1px solid var(--text);border-radius:.5rem;color:var(--text);font-weight:600;text-decoration:none}
nav a:hover,nav a:focus-visible{text-decoration:underline}
nav a:focus-visible{outline:3px solid var(--tone);outline-offset:2px}
nav .decline{background:var(--text);color:var(--card)}
footer{max-width:31rem;margin-top:1.25rem;color:var(--soft);font-size:.8125rem;text-align:center}
footer p{margin:0}
@media (max-width:28rem){main{padding:1.75rem 1.25rem 1.5rem}h1{font-size:1.375rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.5rem}.mark{width:72px;height:72px}}
@media (prefers-contrast:more){:root{--line:currentColor;--soft:var(--text)}}
@media (forced-colors:active){.ground{fill:Canvas}.key,.sign circle{stroke:CanvasText}.sign{stroke:CanvasText}.sign circle{fill:Canvas}.next{border:1px solid}}
`

/** Nothing but that style: no script, no request, no form, no frame. */
export const contentSecurityPolicy =
  `default-src 'none'; style-src 'sha256-${createHash('sha256').update(pageStyle).digest('base64')}'; ` +
  `form-action 'none'; frame-ancestors 'none'; base-uri 'none'`
