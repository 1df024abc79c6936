import { expect, it } from 'vitest'
import { letter } from './letter.ts'

it('says the same as text and as HTML, where nothing that it quotes is markup', () => {
  const { text, html } = letter({
    to: 'ada@example.com',
    subject: 'A <b>key</b>',
    paragraphs: ['It is called <script>"x"</script> & more.', { label: 'Look', url: 'https://x.example/?a=1&b="' }],
  })
  expect(text).toBe('It is called <script>"x"</script> & more.\n\nLook:\nhttps://x.example/?a=1&b="\n')
  expect(html).toContain('<title>A &lt;b&gt;key&lt;/b&gt;</title>')
  expect(html).toContain('<p>It is called &lt;script&gt;&quot;x&quot;&lt;/script&gt; &amp; more.</p>')
  expect(html).toContain('<a href="https://x.example/?a=1&amp;b=&quot;">Look</a>')
})
