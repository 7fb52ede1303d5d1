import { render } from "preact";
import { App } from "./app";
import { Project } from "./project";
import "./style/base.css";
import "./style/frame.css";
import "./style/fleet.css";
import "./style/lists.css";
import "./style/layers.css";
import "./style/phone.css";

const root = document.getElementById("app");
if (root) {
  try {
    const project = await Project.load();
    render(<App project={project} />, root);
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    render(
      <main class="signin" role="alert">
        <h1>Chunkwise</h1>
        <p>{words}</p>
      </main>,
      root,
    );
  }
}
