/** The access token, for as long as the tab is open. */
import { reactive } from "./vue.js";

const KEY = "geo-diff-token";

/** @type {{token: string, refused: boolean}} */
export const session = reactive({ token: "", refused: false });

/** Read the token from the address (`#token=...`) or from this tab's storage. */
export function openSession() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const given = parameters.get("token");
  if (given === null) {
    session.token = sessionStorage.getItem(KEY) ?? "";
    return;
  }
  // remove it from the address bar and the history
  parameters.delete("token");
  history.replaceState(null, "", parameters.size ? `#${parameters}` : location.pathname);
  keepToken(given);
}

/** @param {string} token */
export function keepToken(token) {
  session.token = token.trim();
  session.refused = false;
  sessionStorage.setItem(KEY, session.token);
}

/** Forget a token that the server refused; the dialog reopens and reports it. */
export function refuseToken() {
  session.refused = session.token !== "";
  session.token = "";
  sessionStorage.removeItem(KEY);
}
