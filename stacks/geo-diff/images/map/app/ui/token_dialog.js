/** Asks for the access token. */
import { h, nextTick, onMounted, onUnmounted, ref } from "../vue.js";
import { t } from "../language.js";
import { session } from "../session.js";

export const TokenDialog = {
  props: ["atlas"],
  setup(props) {
    const dialog = ref(null);
    const token = ref("");
    const trouble = ref(session.refused ? "token_refused" : "");
    const trying = ref(false);
    onMounted(() => dialog.value.showModal());
    // else the next Tab would start at the end of the page, where the dialog was
    onUnmounted(() => nextTick(() => document.getElementById("map")?.focus()));
    async function submit(event) {
      event.preventDefault();
      trying.value = true;
      const outcome = await props.atlas.enter(token.value);
      trying.value = false;
      trouble.value = outcome === "accepted" ? "" : `token_${outcome}`;
    }
    return () =>
      h("dialog", { ref: dialog, class: "card token", "aria-labelledby": "token-title", onCancel: (event) => event.preventDefault() },
        h("form", { onSubmit: submit }, [
          h("h2", { id: "token-title" }, t("token_title")),
          h("p", t("token_words")),
          h("label", [
            h("span", t("token_label")),
            h("input", {
              type: "password",
              required: true,
              autocomplete: "off",
              spellcheck: false,
              value: token.value,
              "aria-describedby": "token-trouble",
              "aria-invalid": trouble.value === "token_refused",
              onInput: (event) => { token.value = event.target.value; },
            }),
          ]),
          h("p", { id: "token-trouble", class: "trouble", role: "alert" }, trouble.value && t(trouble.value)),
          h("button", { type: "submit", class: "primary", disabled: trying.value }, t(trying.value ? "token_trying" : "token_submit")),
        ]));
  },
};
