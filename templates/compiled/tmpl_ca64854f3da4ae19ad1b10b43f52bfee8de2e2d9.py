from jinja2.runtime import LoopContext, Macro, Markup, Namespace, TemplateNotFound, TemplateReference, TemplateRuntimeError, Undefined, escape, identity, internalcode, markup_join, missing, str_join
name = 'macros.html.j2'

def root(context, missing=missing):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_symbols = l_0_ident = l_0_verdict = l_0_marks = l_0_value = l_0_facts = l_0_interval = l_0_cells = l_0_tile = l_0_loom = l_0_locator = l_0_panel = l_0_strip = missing
    try:
        t_1 = environment.tests['none']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No test named 'none' found.")
    pass
    yield '\n'
    def macro(l_1_p):
        t_2 = []
        if l_1_p is missing:
            l_1_p = undefined("parameter 'p' was not provided", name='p')
        pass
        t_2.append(
            '<svg class="defs" width="0" height="0" aria-hidden="true" focusable="false"><defs>\n  <symbol id="g-pass" viewBox="0 0 24 24"><circle cx="12" cy="12" r="10" class="open"/><path d="M7 12.4l3.5 3.5L17.2 8.6" class="open"/></symbol>\n  <symbol id="g-fail" viewBox="0 0 24 24"><rect x="1.5" y="1.5" width="21" height="21" rx="3" class="solid"/><path d="M7.5 7.5l9 9m0-9l-9 9" class="cut"/></symbol>\n  <symbol id="g-inconclusive" viewBox="0 0 24 24"><path d="M12 1.6L22.4 12 12 22.4 1.6 12Z" class="open"/><path d="M8 10.4q2-1.6 4 0t4 0M8 14q2-1.6 4 0t4 0" class="open thin"/></symbol>\n  <symbol id="g-error" viewBox="0 0 24 24"><path d="M12 2.5L22.5 21.5H1.5Z" class="open"/><path d="M12 9v6m0 2.2v1.6" class="open"/></symbol>\n  <symbol id="g-skipped" viewBox="0 0 24 24"><circle cx="12" cy="12" r="10" class="open dashed"/><path d="M7.5 12h9" class="open"/></symbol>\n',
        )
        for (l_2_n, l_2_d) in environment.getattr(l_1_p, 'cells'):
            _loop_vars = {}
            pass
            t_2.extend((
                '<symbol id="c-',
                escape(environment.finalize(l_2_n)),
                '" viewBox="0 0 1000 24" preserveAspectRatio="none"><path class="cell pass" d="',
                escape(environment.finalize(l_2_d)),
                '"/></symbol>',
            ))
        l_2_n = l_2_d = missing
        t_2.append(
            '\n',
        )
        for (l_2_kind, l_2_width, l_2_d) in environment.getattr(l_1_p, 'frames'):
            _loop_vars = {}
            pass
            t_2.extend((
                '<symbol id="s-',
                escape(environment.finalize(l_2_kind)),
                '" viewBox="0 0 ',
                escape(environment.finalize(l_2_width)),
                ' 100" preserveAspectRatio="none"><path class="sq" d="',
                escape(environment.finalize(l_2_d)),
                '"/></symbol>',
            ))
        l_2_kind = l_2_width = l_2_d = missing
        t_2.append(
            '\n',
        )
        for (l_2_way, l_2_d) in environment.getattr(l_1_p, 'loom'):
            _loop_vars = {}
            pass
            t_2.extend((
                '<symbol id="l-',
                escape(environment.finalize(l_2_way)),
                '" viewBox="0 0 1000 100" preserveAspectRatio="none"><path class="thread" d="',
                escape(environment.finalize(l_2_d)),
                '"/></symbol>',
            ))
        l_2_way = l_2_d = missing
        t_2.append(
            '\n</defs></svg>\n',
        )
        return concat(t_2)
    context.exported_vars.add('symbols')
    context.vars['symbols'] = l_0_symbols = Macro(environment, macro, 'symbols', ('p',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_text):
        t_3 = []
        if l_1_text is missing:
            l_1_text = undefined("parameter 'text' was not provided", name='text')
        pass
        t_3.extend((
            '<code><bdi>',
            escape(environment.finalize(l_1_text)),
            '</bdi></code>',
        ))
        return concat(t_3)
    context.exported_vars.add('ident')
    context.vars['ident'] = l_0_ident = Macro(environment, macro, 'ident', ('text',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_v):
        t_4 = []
        if l_1_v is missing:
            l_1_v = undefined("parameter 'v' was not provided", name='v')
        pass
        t_4.extend((
            '<i class="v ',
            escape(environment.finalize(l_1_v)),
            '"><svg><use href="#g-',
            escape(environment.finalize(l_1_v)),
            '"/></svg>',
            escape(environment.finalize(l_1_v)),
            '</i>',
        ))
        return concat(t_4)
    context.exported_vars.add('verdict')
    context.vars['verdict'] = l_0_verdict = Macro(environment, macro, 'verdict', ('v',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro():
        t_5 = []
        pass
        t_5.append(
            '<i class="mark">× fail</i> <i class="mark">? inconclusive</i> <i class="mark">! not measured</i>',
        )
        return concat(t_5)
    context.exported_vars.add('marks')
    context.vars['marks'] = l_0_marks = Macro(environment, macro, 'marks', (), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_q):
        t_6 = []
        if l_1_q is missing:
            l_1_q = undefined("parameter 'q' was not provided", name='q')
        pass
        t_6.extend((
            '<span class="num">',
            escape(environment.finalize(environment.getattr(l_1_q, 'value'))),
            '</span>',
        ))
        if (environment.getattr(l_1_q, 'plus_minus') or environment.getattr(l_1_q, 'unit')):
            pass
            t_6.append(
                ' <span class="pm">',
            )
            if environment.getattr(l_1_q, 'plus_minus'):
                pass
                t_6.extend((
                    '±&#8239;',
                    escape(environment.finalize(environment.getattr(l_1_q, 'plus_minus'))),
                    ' ',
                ))
            t_6.extend((
                escape(environment.finalize(environment.getattr(l_1_q, 'unit'))),
                '</span>',
            ))
        return concat(t_6)
    context.exported_vars.add('value')
    context.vars['value'] = l_0_value = Macro(environment, macro, 'value', ('q',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_rows):
        t_7 = []
        if l_1_rows is missing:
            l_1_rows = undefined("parameter 'rows' was not provided", name='rows')
        pass
        for l_2_f in l_1_rows:
            _loop_vars = {}
            pass
            t_7.extend((
                '<div><dt>',
                escape(environment.finalize(environment.getattr(l_2_f, 'label'))),
                '</dt><dd>',
            ))
            if environment.getattr(l_2_f, 'code'):
                pass
                t_7.append(
                    escape(environment.finalize(context.call((undefined(name='ident') if l_0_ident is missing else l_0_ident), environment.getattr(l_2_f, 'text'), _loop_vars=_loop_vars))),
                )
            else:
                pass
                t_7.extend((
                    '<bdi>',
                    escape(environment.finalize(environment.getattr(l_2_f, 'text'))),
                    '</bdi>',
                ))
            if environment.getattr(l_2_f, 'note'):
                pass
                t_7.extend((
                    ' <span class="quiet"><bdi>',
                    escape(environment.finalize(environment.getattr(l_2_f, 'note'))),
                    '</bdi></span>',
                ))
            t_7.append(
                '</dd></div>\n',
            )
        l_2_f = missing
        return concat(t_7)
    context.exported_vars.add('facts')
    context.vars['facts'] = l_0_facts = Macro(environment, macro, 'facts', ('rows',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_p, l_1_tall):
        t_8 = []
        if l_1_p is missing:
            l_1_p = undefined("parameter 'p' was not provided", name='p')
        if l_1_tall is missing:
            l_1_tall = False
        pass
        t_8.extend((
            '<svg class="iv',
            escape(environment.finalize((' tall' if l_1_tall else ''))),
            '" viewBox="0 0 1000 24" preserveAspectRatio="none">',
        ))
        if environment.getattr(l_1_p, 'others'):
            pass
            t_8.extend((
                '<path class="other" d="',
                escape(environment.finalize(environment.getattr(l_1_p, 'others'))),
                '"/>',
            ))
        t_8.extend((
            '<path class="u ',
            escape(environment.finalize(environment.getattr(l_1_p, 'verdict'))),
            '" d="',
            escape(environment.finalize(environment.getattr(l_1_p, 'bar'))),
            '"/><path class="dot ',
            escape(environment.finalize(environment.getattr(l_1_p, 'verdict'))),
            '" d="',
            escape(environment.finalize(environment.getattr(l_1_p, 'at'))),
            '"/>',
        ))
        if (environment.getattr(l_1_p, 'verdict') not in ('pass', 'fail')):
            pass
            t_8.extend((
                '<path class="dot hollow" d="',
                escape(environment.finalize(environment.getattr(l_1_p, 'at'))),
                '"/>',
            ))
        t_8.append(
            '</svg>',
        )
        return concat(t_8)
    context.exported_vars.add('interval')
    context.vars['interval'] = l_0_interval = Macro(environment, macro, 'interval', ('p', 'tall'), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_row):
        t_9 = []
        if l_1_row is missing:
            l_1_row = undefined("parameter 'row' was not provided", name='row')
        pass
        if environment.getattr(l_1_row, 'passed'):
            pass
            t_9.extend((
                '<svg class="iv"><use href="#c-',
                escape(environment.finalize(environment.getattr(l_1_row, 'passed'))),
                '"/></svg>',
            ))
        else:
            pass
            t_9.append(
                '<svg class="iv" viewBox="0 0 1000 24" preserveAspectRatio="none">',
            )
            for (l_2_v, l_2_d) in environment.getattr(l_1_row, 'cells'):
                _loop_vars = {}
                pass
                t_9.extend((
                    '<path class="cell ',
                    escape(environment.finalize(l_2_v)),
                    '" d="',
                    escape(environment.finalize(l_2_d)),
                    '"/>',
                ))
            l_2_v = l_2_d = missing
            t_9.append(
                '</svg>',
            )
        return concat(t_9)
    context.exported_vars.add('cells')
    context.vars['cells'] = l_0_cells = Macro(environment, macro, 'cells', ('row',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_t):
        t_10 = []
        if l_1_t is missing:
            l_1_t = undefined("parameter 't' was not provided", name='t')
        pass
        t_10.extend((
            '<li class="tile t-',
            escape(environment.finalize(environment.getattr(l_1_t, 'verdict'))),
            escape(environment.finalize((' empty' if t_1(environment.getattr(l_1_t, 'gpu')) else ''))),
            '">\n',
        ))
        if t_1(environment.getattr(l_1_t, 'gpu')):
            pass
            t_10.extend((
                '<div class="tile-head"><span class="tile-name">–</span><span class="quiet">no GPU found</span></div>\n<div class="tile-id"><bdi>',
                escape(environment.finalize(environment.getattr(l_1_t, 'slot'))),
                '</bdi></div>\n',
            ))
        else:
            pass
            t_10.extend((
                '<div class="tile-head"><span class="tile-name"><span class="wide">GPU </span>',
                escape(environment.finalize(environment.getattr(l_1_t, 'gpu'))),
                '</span>',
                escape(environment.finalize(context.call((undefined(name='verdict') if l_0_verdict is missing else l_0_verdict), environment.getattr(l_1_t, 'verdict')))),
                '</div>\n<div class="tile-id"><bdi>',
                escape(environment.finalize(environment.getattr(l_1_t, 'slot'))),
                '</bdi> ',
            ))
            if environment.getattr(l_1_t, 'serial'):
                pass
                t_10.append(
                    escape(environment.finalize(context.call((undefined(name='ident') if l_0_ident is missing else l_0_ident), environment.getattr(l_1_t, 'serial')))),
                )
            t_10.append(
                '</div>\n',
            )
            if environment.getattr(l_1_t, 'plot'):
                pass
                t_10.append(
                    escape(environment.finalize(context.call((undefined(name='interval') if l_0_interval is missing else l_0_interval), environment.getattr(l_1_t, 'plot')))),
                )
            t_10.append(
                '\n<dl>\n',
            )
            for l_2_f in environment.getattr(l_1_t, 'figures'):
                _loop_vars = {}
                pass
                t_10.append(
                    '<div',
                )
                if environment.getattr(l_2_f, 'bad'):
                    pass
                    t_10.append(
                        ' class="is-bad"',
                    )
                t_10.extend((
                    '><dt>',
                    escape(environment.finalize(environment.getattr(l_2_f, 'label'))),
                    '</dt><dd><span class="num">',
                    escape(environment.finalize(environment.getattr(environment.getattr(l_2_f, 'value'), 'value'))),
                    '</span>',
                ))
                if environment.getattr(environment.getattr(l_2_f, 'value'), 'unit'):
                    pass
                    t_10.extend((
                        ' <span class="unit">',
                        escape(environment.finalize(environment.getattr(environment.getattr(l_2_f, 'value'), 'unit'))),
                        '</span>',
                    ))
                t_10.append(
                    '</dd></div>',
                )
            l_2_f = missing
            t_10.append(
                '\n</dl>\n',
            )
        t_10.append(
            '</li>\n',
        )
        return concat(t_10)
    context.exported_vars.add('tile')
    context.vars['tile'] = l_0_tile = Macro(environment, macro, 'tile', ('t',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_t):
        t_11 = []
        if l_1_t is missing:
            l_1_t = undefined("parameter 't' was not provided", name='t')
        pass
        t_11.append(
            '<div class="lane">',
        )
        if (not t_1(environment.getattr(l_1_t, 'gpu'))):
            pass
            t_11.append(
                '<svg class="loom" aria-hidden="true">',
            )
            if environment.getattr(l_1_t, 'whole'):
                pass
                t_11.extend((
                    '<use href="#l-',
                    escape(environment.finalize(('down' if (environment.getattr(l_1_t, 'place') < 4) else 'up'))),
                    '"/>',
                ))
            else:
                pass
                t_11.extend((
                    '<svg viewBox="0 0 1000 100" preserveAspectRatio="none" width="100%" height="100%"><path class="thread" d="',
                    escape(environment.finalize(environment.getattr(l_1_t, 'threads'))),
                    '"/><path class="thread unseen" d="',
                    escape(environment.finalize(environment.getattr(l_1_t, 'unseen'))),
                    '"/></svg>',
                ))
            for l_2_b in environment.getattr(l_1_t, 'bad_threads'):
                _loop_vars = {}
                pass
                t_11.extend((
                    '<line class="thread bad ',
                    escape(environment.finalize(environment.getattr(l_2_b, 'verdict'))),
                    '" x1="',
                    escape(environment.finalize(environment.getattr(l_2_b, 'x'))),
                    '%" x2="',
                    escape(environment.finalize(environment.getattr(l_2_b, 'x'))),
                    '%" y1="',
                    escape(environment.finalize(('0' if (environment.getattr(l_1_t, 'place') < 4) else '62%'))),
                    '" y2="',
                    escape(environment.finalize(('38%' if (environment.getattr(l_1_t, 'place') < 4) else '100%'))),
                    '"/><svg x="',
                    escape(environment.finalize(environment.getattr(l_2_b, 'x'))),
                    '%" y="',
                    escape(environment.finalize((18 if (environment.getattr(l_1_t, 'place') < 4) else 82))),
                    '%" overflow="visible"><rect x="-7" y="-7" width="14" height="14" rx="2" class="badge ',
                    escape(environment.finalize(environment.getattr(l_2_b, 'verdict'))),
                    '"/><path d="M-3-3L3 3M3-3L-3 3" class="badge-x"/></svg>',
                ))
            l_2_b = missing
            t_11.append(
                '</svg>',
            )
        t_11.append(
            '</div>\n',
        )
        return concat(t_11)
    context.exported_vars.add('loom')
    context.vars['loom'] = l_0_loom = Macro(environment, macro, 'loom', ('t',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_m):
        t_12 = []
        if l_1_m is missing:
            l_1_m = undefined("parameter 'm' was not provided", name='m')
        pass
        t_12.extend((
            '<svg class="locator" role="img" aria-label="',
            escape(environment.finalize(environment.getattr(l_1_m, 'description'))),
            '" viewBox="0 0 ',
            escape(environment.finalize(environment.getattr(l_1_m, 'width'))),
            ' ',
            escape(environment.finalize(environment.getattr(l_1_m, 'height'))),
            '" width="',
            escape(environment.finalize(environment.getattr(l_1_m, 'width'))),
            '" height="',
            escape(environment.finalize(environment.getattr(l_1_m, 'height'))),
            '">\n',
        ))
        for l_2_s in environment.getattr(l_1_m, 'spots'):
            _loop_vars = {}
            pass
            t_12.extend((
                '<rect x="',
                escape(environment.finalize(environment.getattr(l_2_s, 'x'))),
                '" y="',
                escape(environment.finalize(environment.getattr(l_2_s, 'y'))),
                '" width="29" height="28" rx="2" class="',
                escape(environment.finalize(('here' if environment.getattr(l_2_s, 'here') else 'there'))),
                '"/><text x="',
                escape(environment.finalize((environment.getattr(l_2_s, 'x') + 14))),
                '" y="',
                escape(environment.finalize((environment.getattr(l_2_s, 'y') + 19))),
                '" class="',
                escape(environment.finalize(('here-t' if environment.getattr(l_2_s, 'here') else 'there-t'))),
                '">',
                escape(environment.finalize(environment.getattr(l_2_s, 'text'))),
                '</text>',
            ))
        l_2_s = missing
        t_12.append(
            '\n</svg>\n',
        )
        return concat(t_12)
    context.exported_vars.add('locator')
    context.vars['locator'] = l_0_locator = Macro(environment, macro, 'locator', ('m',), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_s, l_1_times):
        t_13 = []
        if l_1_s is missing:
            l_1_s = undefined("parameter 's' was not provided", name='s')
        if l_1_times is missing:
            l_1_times = undefined("parameter 'times' was not provided", name='times')
        pass
        t_13.extend((
            '<div class="panel">\n<div class="panel-name"><b>',
            escape(environment.finalize(environment.getattr(l_1_s, 'title'))),
            '</b> <span class="unit">',
            escape(environment.finalize(environment.getattr(l_1_s, 'unit'))),
            '</span></div>\n<svg class="chart" role="img" aria-label="',
            escape(environment.finalize(environment.getattr(l_1_s, 'description'))),
            '">\n',
        ))
        for (l_2_x, l_2__, l_2__) in l_1_times:
            _loop_vars = {}
            pass
            t_13.extend((
                '<line class="grid" x1="',
                escape(environment.finalize(l_2_x)),
                '%" x2="',
                escape(environment.finalize(l_2_x)),
                '%" y1="0" y2="100%"/>',
            ))
        l_2_x = l_2__ = missing
        t_13.extend((
            '\n<svg viewBox="0 0 ',
            escape(environment.finalize(environment.getattr(environment.getattr(l_1_s, 'band'), 'width'))),
            ' 200" preserveAspectRatio="none" width="100%" height="100%"><path class="area" d="',
            escape(environment.finalize(environment.getattr(environment.getattr(l_1_s, 'band'), 'area'))),
            '"/>',
        ))
        for l_2_b in environment.getattr(l_1_s, 'marked'):
            _loop_vars = {}
            pass
            t_13.extend((
                '<path class="area fail" d="',
                escape(environment.finalize(environment.getattr(l_2_b, 'area'))),
                '"/>',
            ))
        l_2_b = missing
        t_13.extend((
            '<path class="mid" d="',
            escape(environment.finalize(environment.getattr(environment.getattr(l_1_s, 'band'), 'middle'))),
            '"/></svg>\n',
        ))
        for (l_2_y, l_2__) in environment.getattr(l_1_s, 'limits'):
            _loop_vars = {}
            pass
            t_13.extend((
                '<line class="limit" x1="0" x2="100%" y1="',
                escape(environment.finalize(l_2_y)),
                '%" y2="',
                escape(environment.finalize(l_2_y)),
                '%"/>',
            ))
        l_2_y = l_2__ = missing
        for l_2_t in environment.getattr(l_1_s, 'ticks'):
            _loop_vars = {}
            pass
            t_13.extend((
                '<line class="tick" x1="-4" x2="0" y1="',
                escape(environment.finalize(environment.getattr(l_2_t, 'y'))),
                '%" y2="',
                escape(environment.finalize(environment.getattr(l_2_t, 'y'))),
                '%"/><text class="lab ytick" x="0" y="',
                escape(environment.finalize(environment.getattr(l_2_t, 'y'))),
                '%" dy=".34em">',
                escape(environment.finalize(environment.getattr(l_2_t, 'text'))),
                '</text>',
            ))
        l_2_t = missing
        t_13.extend((
            '\n</svg>\n<div class="panel-read"><span class="num">',
            escape(environment.finalize(environment.getattr(l_1_s, 'lowest'))),
            ' – ',
            escape(environment.finalize(environment.getattr(l_1_s, 'highest'))),
            '</span>',
        ))
        t_14 = 1
        for (l_2__, l_2_text) in environment.getattr(l_1_s, 'limits'):
            _loop_vars = {}
            pass
            t_13.extend((
                '<br><span class="quiet">',
                escape(environment.finalize(l_2_text)),
                '</span>',
            ))
            t_14 = 0
        l_2__ = l_2_text = missing
        if t_14:
            pass
            t_13.append(
                '<br><span class="quiet">no limit</span>',
            )
        t_13.append(
            '</div>\n</div>\n',
        )
        return concat(t_13)
    context.exported_vars.add('panel')
    context.vars['panel'] = l_0_panel = Macro(environment, macro, 'panel', ('s', 'times'), False, False, False, context.eval_ctx.autoescape)
    yield '\n'
    def macro(l_1_s):
        t_15 = []
        if l_1_s is missing:
            l_1_s = undefined("parameter 's' was not provided", name='s')
        pass
        t_15.extend((
            '<svg class="strip" role="img" aria-label="',
            escape(environment.finalize(environment.getattr(l_1_s, 'description'))),
            '"><use href="#s-',
            escape(environment.finalize(environment.getattr(l_1_s, 'frame'))),
            '"/>',
        ))
        if environment.getattr(l_1_s, 'paths'):
            pass
            t_15.extend((
                '<svg viewBox="0 0 ',
                escape(environment.finalize(environment.getattr(l_1_s, 'width'))),
                ' 100" preserveAspectRatio="none" width="100%" height="100%">',
            ))
            for (l_2_v, l_2_d) in environment.getattr(l_1_s, 'paths'):
                _loop_vars = {}
                pass
                t_15.extend((
                    '<path class="sq ',
                    escape(environment.finalize(l_2_v)),
                    '" d="',
                    escape(environment.finalize(l_2_d)),
                    '"/>',
                ))
            l_2_v = l_2_d = missing
            t_15.append(
                '</svg>',
            )
        t_15.append(
            '</svg>',
        )
        return concat(t_15)
    context.exported_vars.add('strip')
    context.vars['strip'] = l_0_strip = Macro(environment, macro, 'strip', ('s',), False, False, False, context.eval_ctx.autoescape)

blocks = {}
debug_info = '7=19&14=27&16=41&18=57&24=75&27=89&30=107&32=117&33=124&37=147&38=152&39=157&45=187&46=196&50=231&51=236&52=248&57=266&58=273&59=277&61=281&63=288&64=292&65=303&68=311&76=350&77=358&78=379&82=412&83=419&84=430&90=458&92=467&93=471&94=474&96=487&97=506&98=517&101=534&106=562'