/// The page of a ``SpaceTimeDiagram``: what is in view is drawn, however long the run was.
enum DiagramPage {
  static let text = #"""
    <!doctype html>
    <meta charset="utf-8">
    <title>TITLE</title>
    <style>
    :root{--ink:#1c2430;--soft:#66707e;--line:#d4dae2;--paper:#fff;--side:#f5f7fa;--send:#3568b8;--bad:#c0392b;
      --timer:#8a6d1d;--disk:#2b7a4b;--client:#6b3fa0}
    *{box-sizing:border-box}body{margin:0;font:13px/1.4 system-ui,sans-serif;color:var(--ink);display:grid;
      grid-template:auto minmax(0,1fr)/minmax(0,1fr) 23rem;height:100vh}
    header{grid-column:1/3;padding:.6rem 1rem;border-bottom:1px solid var(--line);display:flex;gap:.4rem 1rem;align-items:center;flex-wrap:wrap}
    h1{font-size:15px;margin:0}button,input{font:inherit;padding:.2rem .6rem;border:1px solid var(--line);
      border-radius:4px;background:var(--paper)}
    #fail{color:var(--bad);font-weight:600;flex-basis:100%;overflow-wrap:anywhere}#fail.well{color:var(--disk)}
    #view{overflow:auto;position:relative}#heads{position:sticky;top:0;z-index:2;background:var(--paper);
      border-bottom:1px solid var(--line);height:26px}
    #heads span{position:absolute;transform:translateX(-50%);font-weight:600;top:4px}aside{overflow:auto;
      background:var(--side);border-left:1px solid var(--line);padding:1rem}
    pre{white-space:pre-wrap;overflow-wrap:anywhere;font:12px/1.45 ui-monospace,monospace;background:var(--paper);
      border:1px solid var(--line);border-radius:4px;padding:.5rem;margin:.3rem 0 1rem}pre b{background:#fdf0b4;font-weight:inherit}
    dt{color:var(--soft)}dd{margin:0 0 .5rem}svg{display:block}.lane{stroke:var(--line);stroke-width:2}.time{fill:var(--soft);font-size:10px}
    .m{stroke:var(--send);stroke-width:1.2;fill:none;opacity:.75}.m.lost{stroke:var(--bad);stroke-dasharray:3 3}.m.on{
      stroke-width:3;opacity:1}.dot{cursor:pointer;stroke:#fff}.paper{fill:#fff;opacity:.82}
    .label{font-size:11px;fill:var(--ink);pointer-events:none}.down{fill:#e7d3d0}.pause{fill:#efe6c8}.cutoff{
      fill:#d9dfee}.pick{fill:none;stroke:var(--ink);stroke-width:2}
    .key i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin:0 .3em 0 .8em;vertical-align:-1px}
    </style>
    <header><h1>TITLE</h1><button id="jump">Go to the violation</button><label>find <input id="find" size="12"></label>
    <button id="less" title="closer together">−</button><button id="more" title="farther apart">+</button>
    <label><input type="checkbox" id="idle"> timers after which nothing happened</label>
    <span class="key"><i style="background:#e7d3d0"></i>down<i style="background:#efe6c8"></i>paused<i style="background:#d9dfee">
    </i>a link cut<i style="background:var(--send)"></i>message<i style="background:var(--timer)"></i>timer<i style="background:var(--disk)">
    </i>disk<i style="background:var(--client)"></i>client<i style="background:var(--bad)"></i>fault or loss</span>
    <span id="fail"></span></header>
    <div id="view"><div id="heads"></div><svg id="svg"></svg></div>
    <aside id="side"><p>Click a dot to see the event and the node before and after it.</p></aside>
    <script>
    const data = "DATA";
    const E = data.events.map((e,i)=>({i,t:Number(e[0]),k:e[1],n:e[2],p:e[3],e:e[4],c:e[5],x:e[6],s:e[7]===undefined?undefined:data.states[e[7]]}));
    const $=id=>document.getElementById(id),svg=$("svg"),view=$("view"),side=$("side"),heads=$("heads");
    const lanes=data.nodes+1,left=66;let row=18,picked=-1;
    const laneWidth=Math.max(96,Math.min(260,(view.clientWidth-left-30)/lanes)),letters=Math.floor((laneWidth-22)/5.8);
    const X=n=>left+(n<0?0:n+1)*laneWidth+18;
    const colours={failure:"bad",crash:"bad",fault:"bad",dropped:"bad",cut:"bad",refused:"bad",persistFailed:"bad",lost:"bad",timer:"timer",
      persisted:"disk",request:"client",reply:"client",cancel:"client",ask:"client",receive:"send"};
    const colour=k=>"var(--"+(colours[k]||"ink")+")";
    const name=n=>n<0?"clients":"n"+(n+1);
    const time=t=>(t/1e6).toFixed(t<1e10?2:1)+" ms";
    const esc=s=>String(s).replace(/[&<>"]/g,c=>({"&":"&amp;","<":"&lt;",">":"&gt;",'"':"&quot;"}[c]));
    // What an event brought about, by the simulator's number of it: a timer without anything is idle.
    const busy=new Set(E.filter(e=>["send","note","reply","failure"].includes(e.k)).map(e=>e.e));
    const idle=e=>e.k=="timer"&&!busy.has(e.e);
    $("idle").checked=E.filter(idle).length*4<E.length;
    // What made the simulator's event `e` happen at a node: the place messages leave from.
    const first=new Map(),sends=new Map();
    for(const e of E){const key=e.e+":"+e.n;if(e.k!="send"&&!first.has(key))first.set(key,e);
      if(e.k=="send")sends.set(e.e+":"+e.n+":"+e.p+":"+e.x,e)}
    let shown=[],rowOf=[],arrows=[],bands=[],height=0,width=0;
    const Y=e=>14+rowOf[e.i]*row;
    function layout(){
      shown=E.filter(e=>!["linkCut","linkJoined","send","ask"].includes(e.k)&&($("idle").checked||!idle(e)));
      // The row of an event that is not shown itself is that of the next one.
      rowOf=[];let j=0;for(const e of E){while(j<shown.length&&shown[j].i<e.i)j++;rowOf[e.i]=Math.max(0,Math.min(j,shown.length-1))}
      height=60+shown.length*row;width=left+lanes*laneWidth+20;
      arrows=[];
      for(const e of E)if(["receive","dropped","cut","refused"].includes(e.k)){
        const s=sends.get(e.c+":"+e.p+":"+e.n+":"+e.x)||sends.get(e.e+":"+e.p+":"+e.n+":"+e.x);if(s)arrows.push([first.get(s.e+":"+s.n)||s,e])}
      bands=[];const open={},cuts={},last=E[E.length-1];
      const close=(k,e)=>{if(open[k]){bands.push([...open[k],e]);delete open[k]}};
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
      svg.setAttribute("width",width);svg.setAttribute("height",height);
      heads.style.width=width+"px";heads.innerHTML="";for(let n=-1;n<data.nodes;n++){const s=document.createElement("span");
        s.textContent=name(n);s.style.left=X(n)+"px";heads.append(s)}
      draw();
    }
    let drawn=[0,0];
    function draw(){
      const from=view.scrollTop-view.clientHeight,to=view.scrollTop+2*view.clientHeight,inView=(a,b)=>b>=from&&a<=to;drawn=[from,to];let out="";
      for(const[k,n,a,b]of bands){
        if(!inView(Y(a),Y(b)+row))continue;const half=k=="cutoff"?16:11;
        out+=`<rect class="${k}" x="${X(n)-half}" width="${2*half}" y="${Y(a)-row/2}" height="${Math.max(row,Y(b)-Y(a))}"/>`;
      }
      for(let n=-1;n<data.nodes;n++)out+=`<line class="lane" x1="${X(n)}" x2="${X(n)}" y1="0" y2="${height}"/>`;
      for(const[a,b]of arrows){
        if(!inView(Y(a),Y(b)))continue;
        const lost=b.k!="receive",x1=X(b.p),y1=Y(a),y2=Y(b),x2=lost&&b.p!=b.n?x1+(X(b.n)-x1)*.8:X(b.n),on=a.i==picked||b.i==picked;
        const line=b.p==b.n?`M${x1} ${y1}C${x1-26} ${y1} ${x1-26} ${y2} ${x2} ${y2}`:`M${x1} ${y1}L${x2} ${y2}`;
        out+=`<path class="m${lost?" lost":""}${on?" on":""}" d="${line}" marker-end="url(#${lost?"x":"a"})"/>`;
      }
      let labels="",lastTime=-1e18,lastRow=-9;
      for(const e of shown){
        const y=Y(e);if(!inView(y,y))continue;
        if(e.t>lastTime&&rowOf[e.i]-lastRow>=3){labels+=`<text class="time" x="4" y="${y+4}">${time(e.t)}</text>`;lastTime=e.t;lastRow=rowOf[e.i]}
        const r=e.k=="failure"?7:e.k=="note"?3:4.5;
        out+=`<circle class="dot" data-i="${e.i}" cx="${X(e.n)}" cy="${y}" r="${r}" fill="${colour(e.k)}"/>`;
        const whole=["receive","note","request","reply","fault"].includes(e.k)?e.x:e.k+(e.x?" "+e.x:"");
        const text=whole.length>letters?whole.slice(0,letters-1)+"…":whole;
        if(row>=11)labels+=`<rect class="paper" x="${X(e.n)+7}" y="${y-6}" width="${text.length*5.7+4}" height="12"/>
          <text class="label" x="${X(e.n)+9}" y="${y+4}"><title>${esc(whole)}</title>${esc(text)}</text>`;
      }
      const p=picked>=0?E[picked]:null;
      svg.innerHTML=`<defs>
        <marker id="a" viewBox="0 0 8 8" refX="12" refY="4" markerWidth="7" markerHeight="7" orient="auto">
        <path d="M0 0L8 4L0 8z" fill="#3568b8"/></marker><marker id="x" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="8" markerHeight="8">
        <path d="M1 1L7 7M7 1L1 7" stroke="#c0392b" stroke-width="1.6"/></marker></defs>`+
        out+labels+(p?`<circle class="pick" r="8" cx="${X(p.n)}" cy="${Y(p)}"/>`:"");
    }
    // What changed from one state to the next is marked, line by line.
    const marked=(after,before)=>{if(before===undefined)return esc(after);const known=new Set(before.split("\n"));
      return after.split("\n").map(l=>known.has(l)?esc(l):"<b>"+esc(l)+"</b>").join("\n")};
    function pick(i){
      picked=i;draw();const e=E[i];
      let before;for(let j=i-1;j>=0;j--)if(E[j].n==e.n&&(E[j].s!==undefined||E[j].k=="start"||E[j].k=="crash")){before=E[j].s;break}
      const notes=E.filter(o=>o.e==e.e&&o.n==e.n&&o.k=="note").map(o=>o.x),sent=E.filter(o=>o.e==e.e&&o.n==e.n&&o.k=="send").map(o=>"→ "+
        name(o.p)+"  "+o.x);
      side.innerHTML=`<dl><dt>When</dt><dd>${(e.t/1e6).toFixed(6)} ms, event ${e.e}</dd><dt>Where</dt><dd>${name(e.n)}</dd>
        <dt>What</dt><dd>${e.k}${e.p>=0?" from "+name(e.p):""}</dd></dl><pre>${esc(e.x)||"–"}</pre>`
        +(sent.length?`<b>Sent</b><pre>${esc(sent.join("\n"))}</pre>`:"")+(notes.length?`<b>Notes</b><pre>${esc(notes.join("\n"))}</pre>`:"")
        +(e.s!==undefined?`<b>After</b><pre>${marked(e.s,before)}</pre><b>Before</b><pre>${esc(before===undefined?"(not kept)":before)}</pre>`:"");
    }
    function show(i){view.scrollTop=Y(E[i])-view.clientHeight*.7;pick(i)}
    svg.addEventListener("click",ev=>{const i=ev.target.dataset&&ev.target.dataset.i;if(i!==undefined)pick(Number(i))});
    view.addEventListener("scroll",()=>{if(view.scrollTop<drawn[0]+view.clientHeight/2||view.scrollTop+view.clientHeight>
      drawn[1]-view.clientHeight/2)requestAnimationFrame(draw)});
    const bad=E.findLastIndex(e=>e.k=="failure");$("jump").disabled=bad<0;$("jump").onclick=()=>show(bad);
    const words=(data.failure||"no violation").split("\n")[0];
    $("fail").textContent=(words.length>260?words.slice(0,259)+"…":words)+(data.dropped?` (the first ${data.dropped} events are not kept)`:"");
    if(!data.failure)$("fail").className="well";
    let found=-1;$("find").addEventListener("keydown",ev=>{if(ev.key!="Enter")return;
      const q=ev.target.value;for(let k=1;k<=shown.length;k++){const j=(found+k)%shown.length;if((shown[j].k+" "+shown[j].x).includes(q)){
        found=j;show(shown[j].i);return}}});
    const scale=by=>{const place=view.scrollTop/row;row=Math.max(4,Math.min(48,row+by));layout();view.scrollTop=place*row};
    $("more").onclick=()=>scale(4);$("less").onclick=()=>scale(-4);$("idle").onchange=layout;
    addEventListener("resize",draw);
    layout();if(location.hash=="#violation"&&bad>=0)show(bad);else if(location.hash.startsWith("#e"))show(Number(location.hash.slice(2)));
    </script>
    """#
}
