import { connect } from "../client/rtclient.js";

const token = async () => {
  const response = await fetch("demo/token", { method: "POST", body: JSON.stringify({ participantId: "alice" }) });
  return (await response.json()).token;
};
window.log = [];
window.chat = connect({
  baseUrl: ".", sessionId: "demo", token, history: 50,
  onEvent: (e) => window.log.push(e), onStatus: (s) => console.log(JSON.stringify(s)),
});
