import StrataBytes
import StrataNodes

/// Draws a trace as one page that needs nothing else: a lane per node, time downward, an arrow per message, bands where a node was down, paused
/// or cut off, the node's state before and after each input on a click, and a jump to the violation.
public struct SpaceTimeDiagram {
  private let report: RunReport

  /// The diagram of a run that kept a trace.
  public init(_ report: RunReport) { self.report = report }

  /// The page.
  public var html: String {
    let title = "\(report.scenario), seed \(report.plan.seed)"
    let data = JSON.object([
      .init("scenario", .string(report.scenario)), .init("seed", .exact(report.plan.seed)), .init("nodes", .integer(Int64(report.plan.nodes))),
      .init("failure", report.failure.map { .string($0.description) } ?? .null),
      .init("dropped", .integer(Int64(report.trace?.dropped ?? 0))), .init("events", .array(events)),
    ])
    // A script ends at the first "</", wherever that stands.
    let safe = data.description.replacing("</", with: "<\\/")
    return Self.page.replacing("TITLE", with: Self.escaped(title)).replacing("\"DATA\"", with: safe)
  }

  /// Each event as [time, kind, node, peer, event, cause, text, state].
  private var events: [JSON] {
    (report.trace?.events ?? []).map { event in
      var row: [JSON] = [
        .exact(event.time), .string("\(event.kind)"), .integer(Int64(event.node)), .integer(Int64(event.peer)), .exact(event.event),
        .exact(event.cause), .string(event.text),
      ]
      if let state = event.state { row.append(.string(state)) }
      return .array(row)
    }
  }

  static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
  }

  private static let page = #"""
    <!doctype html>
    <meta charset="utf-8">
    <title>TITLE</title>
    <style>
    :root{--ink:#1c2430;--soft:#66707e;--line:#d4dae2;--paper:#fff;--side:#f5f7fa;--send:#3568b8;--bad:#c0392b;
      --timer:#8a6d1d;--disk:#2b7a4b;--client:#6b3fa0}
    *{box-sizing:border-box}body{margin:0;font:13px/1.4 system-ui,sans-serif;color:var(--ink);display:grid;
      grid-template:auto 1fr/1fr 26rem;height:100vh}
    header{grid-column:1/3;padding:.6rem 1rem;border-bottom:1px solid var(--line);display:flex;gap:1rem;align-items:center;flex-wrap:wrap}
    h1{font-size:15px;margin:0}button,input{font:inherit;padding:.2rem .6rem;border:1px solid var(--line);
      border-radius:4px;background:var(--paper)}
    #fail{color:var(--bad);font-weight:600;max-width:60rem}#view{overflow:auto;position:relative}#heads{position:sticky;
      top:0;z-index:2;background:var(--paper);border-bottom:1px solid var(--line);height:26px}
    #heads span{position:absolute;transform:translateX(-50%);font-weight:600;top:4px}aside{overflow:auto;
      background:var(--side);border-left:1px solid var(--line);padding:1rem}
    pre{white-space:pre-wrap;word-break:break-word;font:12px/1.45 ui-monospace,monospace;background:var(--paper);
      border:1px solid var(--line);border-radius:4px;padding:.5rem;margin:.3rem 0 1rem}
    dt{color:var(--soft)}dd{margin:0 0 .5rem}svg{display:block}.lane{stroke:var(--line);stroke-width:2}.time{fill:var(--soft);font-size:10px}
    .m{stroke:var(--send);stroke-width:1.2;fill:none}.m.lost{stroke:var(--bad);stroke-dasharray:3 3}.m.on{
      stroke-width:3}.dot{cursor:pointer;stroke:#fff}
    .label{font-size:11px;fill:var(--ink);pointer-events:none;
    paint-order:stroke;stroke:#fff;stroke-width:3px}.down{fill:#e7d3d0}.pause{fill:#efe6c8}.cutoff{
      fill:#d9dfee}.pick{fill:none;stroke:var(--ink);stroke-width:2}
    .key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 .8em;vertical-align:-1px}
    </style>
    <header><h1>TITLE</h1><button id="jump">Go to the violation</button><input id="find" title="find text" size="14">
    <button id="less">−</button><button id="more">+</button>
    <span class="key"><i style="background:#e7d3d0"></i>down<i style="background:#efe6c8"></i>paused<i style="background:#d9dfee">
    </i>a link cut<i style="background:var(--send)"></i>message<i style="background:var(--timer)"></i>timer<i style="background:var(--disk)">
    </i>disk<i style="background:var(--client)"></i>client</span>
    <span id="fail"></span></header>
    <div id="view"><div id="heads"></div><svg id="svg"></svg></div>
    <aside id="side"><p>Click a dot to see the event and the node before and after it.</p></aside>
    <script>
    const data = "DATA";
    const E = data.events.map((e,i)=>({i,t:Number(e[0]),k:e[1],n:e[2],p:e[3],e:e[4],c:e[5],x:e[6],s:e[7]}));
    const svg=document.getElementById("svg"),view=document.getElementById("view"),side=document.getElementById("side"),
      heads=document.getElementById("heads");
    const lanes=data.nodes+1,left=90; let row=18;
    const laneWidth=Math.max(150,Math.min(260,(view.clientWidth-left-20)/lanes));
    const X=n=>left+(n<0?0:n+1)*laneWidth+laneWidth/2-40;
    const shown=E.filter(e=>!["linkCut","linkJoined"].includes(e.k)&&e.k!="send"&&e.k!="ask");
    const colours={failure:"bad",crash:"bad",fault:"bad",dropped:"bad",cut:"bad",refused:"bad",persistFailed:"bad",lost:"bad",timer:"timer",
      persisted:"disk",request:"client",reply:"client",cancel:"client",ask:"client",receive:"send"};
    const colour=k=>"var(--"+(colours[k]||"ink")+")";
    const name=n=>n<0?"clients":"n"+(n+1);
    const time=t=>(t/1e6).toFixed(3)+" ms";
    const esc=s=>String(s).replace(/[&<>"]/g,c=>({"&":"&amp;","<":"&lt;",">":"&gt;",'"':"&quot;"}[c]));
    // The row of an event that is not shown itself is that of the next one.
    const rowOf=[];{let r=0,j=0;for(const e of E){while(j<shown.length&&shown[j].i<e.i){j++}rowOf[e.i]=Math.min(j,shown.length-1)}}
    // What made the simulator's event `e` happen at a node: the place messages leave from.
    const first=new Map();for(const e of E){const key=e.e+":"+e.n;if(e.k!="send"&&!first.has(key))first.set(key,e)}
    const sends=new Map();for(const e of E)if(e.k=="send"){const key=e.e+":"+e.n+":"+e.p+":"+e.x;sends.set(key,e)}
    function Y(e){return 14+rowOf[e.i]*row}
    function draw(){
      const h=30+shown.length*row,w=left+lanes*laneWidth+160;let out="";
      const bands=[];const open={};
      const last=E[E.length-1];
      const close=(k,e)=>{if(open[k]){bands.push([...open[k],e]);delete open[k]}};
      const cuts={};
      for(const e of E){
        if(e.k=="crash"){close("pause"+e.n,e);open["down"+e.n]=["down",e.n,e]}
        if(e.k=="start")close("down"+e.n,e);
        if(e.k=="pause")open["pause"+e.n]=["pause",e.n,e];
        if(e.k=="resume")close("pause"+e.n,e);
        if(e.k=="linkCut")for(const n of[e.n,e.p]){cuts[n]=(cuts[n]||0)+1;if(cuts[n]==1)open["cut"+n]=["cutoff",n,e]}
        if(e.k=="linkJoined")for(const n of[e.n,e.p]){cuts[n]=Math.max(0,(cuts[n]||0)-1);if(cuts[n]==0)close("cut"+n,e)}
      }
      for(const k of Object.keys(open))close(k,last);
      bands.sort((a,b)=>(a[0]=="cutoff"?0:1)-(b[0]=="cutoff"?0:1));
      for(const[k,n,a,b]of bands){
        const half=k=="cutoff"?26:18;
        out+=`<rect class="${k}" x="${X(n)-half}" width="${2*half}" y="${Y(a)-row/2}" height="${Math.max(row,Y(b)-Y(a))}"/>`;
      }
      for(let n=-1;n<data.nodes;n++)out+=`<line class="lane" x1="${X(n)}" x2="${X(n)}" y1="0" y2="${h}"/>`;
      let lastTime=-1e18;
      for(const e of shown){if(e.t-lastTime>0&&(rowOf[e.i]%3==0)){out+=`<text class="time" x="4" y="${Y(e)+4}">${time(e.t)}</text>`;lastTime=e.t}}
      for(const e of E){
        if(["receive","dropped","cut","refused"].includes(e.k)){
          const s=sends.get(e.c+":"+e.p+":"+e.n+":"+e.x);if(!s)continue;const from=first.get(s.e+":"+s.n)||s;
          const lost=e.k!="receive";const x1=X(e.p),y1=Y(from),x2=lost?X(e.p)+(X(e.n)-X(e.p))*.8:X(e.n),y2=Y(e);
          const head=lost?"x":"a",line=`M${x1} ${y1}L${x2} ${y2}`;
          out+=`<path class="m${lost?" lost":""}" data-a="${from.i}" data-b="${e.i}" d="${line}" marker-end="url(#${head})"/>`;
        }
      }
      for(const e of shown){
        const r=e.k=="failure"?7:e.k=="note"?3:4.5;
        out+=`<circle class="dot" data-i="${e.i}" cx="${X(e.n)}" cy="${Y(e)}" r="${r}" fill="${colour(e.k)}"/>`;
        const text=e.k=="receive"||e.k=="note"||e.k=="request"||e.k=="reply"||e.k=="fault"?e.x:e.k=="timer"?"⏱ "+e.x:e.k+(e.x?" "+e.x:"");
        out+=`<text class="label" x="${X(e.n)+9}" y="${Y(e)+4}">${esc(text.length>laneWidth/6.2-4?text.slice(0,laneWidth/6.2-5)+"…":text)}</text>`;
      }
      svg.setAttribute("width",w);svg.setAttribute("height",h);
      svg.innerHTML=`<defs>
        <marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
        <path d="M0 0L8 4L0 8z" fill="#3568b8"/></marker><marker id="x" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="8" markerHeight="8">
        <path d="M1 1L7 7M7 1L1 7" stroke="#c0392b" stroke-width="1.6"/></marker></defs>`+
        out+`<circle id="pick" class="pick" r="8" cx="-20" cy="-20"/>`;
      heads.style.width=w+"px";heads.innerHTML="";for(let n=-1;n<data.nodes;n++){const s=document.createElement("span");
        s.textContent=name(n);s.style.left=X(n)+"px";heads.append(s)}
    }
    function pick(i){
      const e=E[i];const p=document.getElementById("pick");p.setAttribute("cx",X(e.n));p.setAttribute("cy",Y(e));
      document.querySelectorAll(".m.on").forEach(m=>m.classList.remove("on"));
      document.querySelectorAll(`.m[data-a="${i}"],.m[data-b="${i}"]`).forEach(m=>m.classList.add("on"));
      let before;for(let j=i-1;j>=0;j--)if(E[j].n==e.n&&(E[j].s!==undefined||E[j].k=="start"||E[j].k=="crash")){before=E[j].s;break}
      const notes=E.filter(o=>o.e==e.e&&o.n==e.n&&o.k=="note").map(o=>o.x),sent=E.filter(o=>o.e==e.e&&o.n==e.n&&o.k=="send").map(o=>"→ "+
        name(o.p)+"  "+o.x);
      side.innerHTML=`<dl><dt>When</dt><dd>${time(e.t)}, event ${e.e}</dd><dt>Where</dt><dd>${name(e.n)}</dd>
        <dt>What</dt><dd>${e.k}${e.p>=0?" from "+name(e.p):""}</dd></dl><pre>${esc(e.x)}</pre>`
        +(sent.length?`<b>Sent</b><pre>${esc(sent.join("\n"))}</pre>`:"")+(notes.length?`<b>Notes</b><pre>${esc(notes.join("\n"))}</pre>`:"")
        +(e.s!==undefined?`<b>Before</b><pre>${esc(before===undefined?"(not kept)":before)}</pre><b>After</b><pre>${esc(e.s)}</pre>`:"");
    }
    function show(i){view.scrollTop=Y(E[i])-view.clientHeight/2;pick(i)}
    svg.addEventListener("click",ev=>{const i=ev.target.dataset&&ev.target.dataset.i;if(i!==undefined)pick(Number(i))});
    const bad=E.findLastIndex(e=>e.k=="failure");document.getElementById("jump").disabled=bad<0;document.getElementById("jump").onclick=()=>show(bad);
    const words=(data.failure||"no violation").split("\n")[0];document.getElementById("fail").textContent=words.length>170?words.slice(0,
      169)+"…":words;if(!data.failure)document.getElementById("fail").style.color="var(--disk)";
    let found=-1;document.getElementById("find").addEventListener("keydown",ev=>{if(ev.key!="Enter")return;
      const q=ev.target.value;for(let k=1;k<=shown.length;k++){const j=(found+k)%shown.length;if((shown[j].x+
      " "+shown[j].k).includes(q)){found=j;show(shown[j].i);return}}});
    document.getElementById("more").onclick=()=>{row=Math.min(48,row+4);draw()};document.getElementById("less").onclick=()=>{
      row=Math.max(6,row-4);draw()};
    draw();if(location.hash=="#violation"&&bad>=0)show(bad);
    </script>
    """#
}

extension RunReport {
  /// The trace as JSON Lines: Docs/Formats/Simulation.md.
  public var traceLines: String {
    var text =
      JSON.object([
        .init("magic", .string("STRATA-TRACE")), .init("version", .integer(1)), .init("scenario", .string(scenario)),
        .init("seed", .exact(plan.seed)),
      ]).description + "\n"
    var count = 1
    for event in trace?.events ?? [] {
      var members: [JSON.Member] = [
        .init("t", .exact(event.time)), .init("node", event.node < 0 ? .null : .integer(Int64(event.node + 1))),
        .init("kind", .string("\(event.kind)")), .init("id", .exact(event.event)), .init("cause", .exact(event.cause)),
      ]
      if event.peer >= 0 { members.append(.init("peer", .integer(Int64(event.peer + 1)))) }
      if !event.text.isEmpty { members.append(.init("text", .string(event.text))) }
      text += JSON.object(members).description + "\n"
      count += 1
    }
    let last = JSON.object([.init("records", .integer(Int64(count))), .init("crc32c", .integer(Int64(crc32c(Array(text.utf8).span.bytes))))])
    return text + last.description + "\n"
  }

  /// The trace for a terminal: one line for each thing that happened.
  public var traceText: String {
    (trace?.events ?? []).map { event in
      let who = event.node < 0 ? "clients" : "n\(event.node + 1)"
      let peer =
        event.peer < 0 ? "" : (event.kind == .send || event.kind == .linkCut || event.kind == .linkJoined ? " → n" : " ← n") + "\(event.peer + 1)"
      return "\(Instant(nanoseconds: event.time))  \(who)\(peer)  \(event.kind)\(event.text.isEmpty ? "" : "  " + event.text)"
    }.joined(separator: "\n")
  }
}
