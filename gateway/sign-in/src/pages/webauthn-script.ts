/**
 * The one script of these pages: browsers speak to security keys and passkeys through script only. A form that says
 * `data-begin` is sent once the authenticator has answered what that address asks. Its hash is in the content security policy.
 */
export const webAuthnScript = `for (const form of document.querySelectorAll('form[data-begin]')) {
  const say = (text) => { form.querySelector('[role=status]').textContent = text }
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    try {
      if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) throw new Error('This browser knows no passkeys.')
      say('Waiting for your browser...')
      const body = JSON.stringify(Object.fromEntries(new FormData(form)))
      const headers = { accept: 'application/json', 'content-type': 'application/json' }
      const response = await fetch(form.dataset.begin, { method: 'POST', headers, body })
      const answer = await response.json()
      if (!response.ok) throw new Error(answer.detail)
      const made = form.dataset.act === 'create'
        ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(answer.options) })
        : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(answer.options) })
      form.elements.namedItem('response').value = JSON.stringify((await made).toJSON())
      HTMLFormElement.prototype.submit.call(form)
    } catch (error) {
      say(error.name === 'NotAllowedError' ? 'It was cancelled, or took too long. Try again.' : error.message)
    }
  })
}
`
