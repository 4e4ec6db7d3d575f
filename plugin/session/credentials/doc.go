// Package credentials is with what a session reaches its API server, however
// that changes while the session lives:
//
//	command ── its own Credentials ──▶ Source ── verify: the same user? ──▶ client, carriers, lines
//	kubeconfig, plugin ── on a 401 ──▶
//
// A command resolves its kubeconfig itself, with its environment, its folder and
// its terminal, and hands over the result: what files and credential plugins
// hold is in it. A Source uses that, and loads the kubeconfig anew when the API
// server does not accept it any more. It uses nothing new before it is known
// that it is of the same user.
package credentials
