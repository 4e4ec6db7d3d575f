// What a page does, and what came of it. The test reads #result.
const text = async (path, init) => (await fetch(path, init)).text()

// said sends two messages by a WebSocket, and returns the answers.
const said = path => new Promise((resolve, reject) => {
  const socket = new WebSocket(`wss://${location.host}${path}`)
  const answers = []
  socket.onopen = () => socket.send('one')
  socket.onmessage = ({data}) => {
    answers.push(data)
    if (answers.length === 2) {
      resolve(answers.join())
      socket.close()
    } else {
      socket.send('two')
    }
  }
  socket.onerror = () => reject(new Error(path))
})

const steps = {
  style: () => getComputedStyle(document.body).color,
  logo: async () => {
    const logo = document.getElementById('logo')
    await logo.decode()
    return `${logo.naturalWidth}x${logo.naturalHeight}`
  },
  fetch: () => text('/quote/'),
  post: () => text('/quote/echo', {method: 'POST', body: 'a basket'}),
  redirect: async () => (await fetch('/old')).url.replace(location.origin, ''),
  cookie: () => text('/basket'),
  socket: () => said('/quote/socket'),
  front: () => said('/socket'),
}
const results = {}
for (const [name, step] of Object.entries(steps)) {
  try {
    results[name] = await step()
  } catch (err) {
    results[name] = String(err)
  }
}
document.getElementById('result').textContent = JSON.stringify(results)
await text('/report', {method: 'POST'})
