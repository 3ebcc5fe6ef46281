/** Vue's runtime as published: render functions need no template compiler, so no `unsafe-eval`. */
export * from "./vendor/vue.runtime.esm-browser.prod.js";
