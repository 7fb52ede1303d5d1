import { copyFileSync } from "node:fs";
import { defineConfig } from "vite";

const page = `${import.meta.dirname}/../workers/chunkwise/dashboard/page`;

export default defineConfig({
  root: import.meta.dirname,
  build: {
    target: "es2022",
    // Where the program serves it from, and the wheel takes it.
    outDir: page,
    emptyOutDir: true,
    // A data: URL would need a hole in the page's policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  plugins: [
    {
      // Static hosts serve it for addresses such as /jobs/…, which are no files.
      name: "not-found-page",
      closeBundle: () => copyFileSync(`${page}/index.html`, `${page}/404.html`),
    },
  ],
});
