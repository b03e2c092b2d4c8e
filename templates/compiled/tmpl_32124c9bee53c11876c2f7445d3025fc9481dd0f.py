from jinja2.runtime import LoopContext, Macro, Markup, Namespace, TemplateNotFound, TemplateReference, TemplateRuntimeError, Undefined, escape, identity, internalcode, markup_join, missing, str_join
name = 'findings.html.j2'

def root(context, missing=missing):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_p = resolve('p')
    l_0_detailed = resolve('detailed')
    try:
        t_1 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    pass
    yield '<section class="failures f-'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'seal')))
    yield '" aria-labelledby="fs">\n  <header><h2 id="fs">'
    yield escape(environment.finalize(('Failure sheet' if (environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'seal') == 'fail') else 'What keeps it undecided')))
    yield '</h2><p>'
    yield escape(environment.finalize(t_1(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'items'))))
    yield ' '
    yield escape(environment.finalize(('finding' if (t_1(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'items')) == 1) else 'findings, in the order to work on')))
    yield '. Take this page to the rack.</p></header>\n'
    if (t_1(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'items')) > 2):
        pass
        yield '  <div class="scroll" tabindex="0" role="region" aria-label="All findings">\n  <table class="plain list">\n    <thead><tr><th scope="col">Nr</th><th scope="col">Verdict</th><th scope="col">Finding</th><th scope="col">Slot</th><th scope="col">Serial</th><th scope="col">Measured</th><th scope="col">Limit</th><th scope="col">Action</th></tr></thead>\n    <tbody>\n'
        for l_1_f in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'items'):
            l_1_m = resolve('m')
            _loop_vars = {}
            pass
            yield '    <tr><td class="num">'
            yield escape(environment.finalize(environment.getattr(l_1_f, 'nr')))
            yield '</td><td>'
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'verdict'), environment.getattr(l_1_f, 'result'), _loop_vars=_loop_vars)))
            yield '</td><th scope="row"><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_f, 'title')))
            yield '</bdi></th><td><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_f, 'slot')))
            yield '</bdi></td><td>'
            if environment.getattr(l_1_f, 'serial'):
                pass
                yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'ident'), environment.getattr(l_1_f, 'serial'), _loop_vars=_loop_vars)))
            yield '</td><td>'
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'value'), environment.getattr(l_1_f, 'value'), _loop_vars=_loop_vars)))
            yield '</td><td class="num"><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_f, 'requirement')))
            yield '</bdi></td><td>'
            yield escape(environment.finalize(environment.getattr(l_1_f, 'action')))
            yield '</td></tr>\n'
        l_1_f = l_1_m = missing
        yield '    </tbody>\n  </table>\n  </div>\n'
    for l_1_f in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'items')[:(undefined(name='detailed') if l_0_detailed is missing else l_0_detailed)]:
        l_1_m = resolve('m')
        _loop_vars = {}
        pass
        yield '  <article class="finding f-'
        yield escape(environment.finalize(environment.getattr(l_1_f, 'result')))
        yield '">\n    <header>\n      <h3><span class="nr">'
        yield escape(environment.finalize(environment.getattr(l_1_f, 'nr')))
        yield '</span> <bdi>'
        yield escape(environment.finalize(environment.getattr(l_1_f, 'title')))
        yield '</bdi></h3>\n      <p class="gist"><bdi>'
        yield escape(environment.finalize(environment.getattr(l_1_f, 'gist')))
        yield '</bdi></p>\n    </header>\n    <div class="part">\n'
        if environment.getattr(l_1_f, 'map'):
            pass
            yield '      '
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'locator'), environment.getattr(l_1_f, 'map'), _loop_vars=_loop_vars)))
            yield '\n      <p class="air">places in the order of their slots</p>\n'
        yield '      <dl>\n'
        for (l_2_label, l_2_text, l_2_code) in environment.getattr(l_1_f, 'part'):
            _loop_vars = {}
            pass
            yield '        <div><dt>'
            yield escape(environment.finalize(l_2_label))
            yield '</dt><dd>'
            if l_2_code:
                pass
                yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'ident'), l_2_text, _loop_vars=_loop_vars)))
            else:
                pass
                yield '<b><bdi>'
                yield escape(environment.finalize(l_2_text))
                yield '</bdi></b>'
            yield '</dd></div>\n'
        l_2_label = l_2_text = l_2_code = missing
        yield '      </dl>\n    </div>\n    <div class="case">\n      <div class="against">\n        <div>'
        yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'verdict'), environment.getattr(l_1_f, 'result'), _loop_vars=_loop_vars)))
        yield '</div>\n        <div class="big">'
        yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'value'), environment.getattr(l_1_f, 'value'), _loop_vars=_loop_vars)))
        yield '</div>\n        <div class="lim">limit <bdi>'
        yield escape(environment.finalize(environment.getattr(l_1_f, 'requirement')))
        yield '</bdi><br><span class="quiet">'
        yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'ident'), environment.getattr(l_1_f, 'metric'), _loop_vars=_loop_vars)))
        if environment.getattr(l_1_f, 'source'):
            pass
            yield ', <bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_f, 'source')))
            yield '</bdi>'
        yield '</span></div>\n'
        if environment.getattr(l_1_f, 'plot'):
            pass
            yield '<div class="shape">'
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'interval'), environment.getattr(l_1_f, 'plot'), True, _loop_vars=_loop_vars)))
            yield '<span class="quiet">line: limit, right of it is good; ticks: the others</span></div>'
        elif environment.getattr(l_1_f, 'strip'):
            pass
            yield '<div class="shape">'
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'strip'), environment.getattr(l_1_f, 'strip'), _loop_vars=_loop_vars)))
            yield '<span class="quiet">'
            yield escape(environment.finalize(environment.getattr(environment.getattr(l_1_f, 'strip'), 'counts')))
            yield '</span></div>'
        yield '\n      </div>\n      <div class="cols">\n        <div class="do"><h4>Do next</h4><ol>'
        t_2 = 1
        for l_2_a in environment.getattr(l_1_f, 'advice'):
            _loop_vars = {}
            pass
            yield '<li>'
            for (l_3_text, l_3_code) in l_2_a:
                _loop_vars = {}
                pass
                if l_3_code:
                    pass
                    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'ident'), l_3_text, _loop_vars=_loop_vars)))
                else:
                    pass
                    yield '<bdi>'
                    yield escape(environment.finalize(l_3_text))
                    yield '</bdi>'
            l_3_text = l_3_code = missing
            yield '</li>'
            t_2 = 0
        l_2_a = missing
        if t_2:
            pass
            yield '<li>'
            yield escape(environment.finalize(environment.getattr(l_1_f, 'action')))
            yield '</li>'
        yield '</ol></div>\n        <div>\n          <dl class="act">\n            <div><dt>Cause</dt><dd>'
        yield escape(environment.finalize(environment.getattr(l_1_f, 'cause')))
        yield '</dd></div>\n            <div><dt>Action</dt><dd>'
        yield escape(environment.finalize(environment.getattr(l_1_f, 'action')))
        yield '</dd></div>\n            <div><dt>Who acts</dt><dd>'
        yield escape(environment.finalize(environment.getattr(l_1_f, 'who')))
        yield '</dd></div>\n          </dl>\n'
        if environment.getattr(l_1_f, 'evidence'):
            pass
            yield '          <h4>Evidence</h4><ul>'
            for l_2_e in environment.getattr(l_1_f, 'evidence'):
                _loop_vars = {}
                pass
                yield '<li><bdi>'
                yield escape(environment.finalize(l_2_e))
                yield '</bdi></li>'
            l_2_e = missing
            yield '</ul>\n'
        yield '        </div>\n      </div>\n'
        if environment.getattr(l_1_f, 'also'):
            pass
            yield '      <table role="table" class="plain stack also">\n        <caption>The same part also misses</caption>\n        <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Verdict</th><th role="columnheader" scope="col">Metric</th><th role="columnheader" scope="col">Where</th><th role="columnheader" scope="col">Measured</th><th role="columnheader" scope="col">Limit</th></tr></thead>\n        <tbody role="rowgroup">\n'
            for l_2_a in environment.getattr(l_1_f, 'also'):
                _loop_vars = {}
                pass
                yield '<tr role="row"><td role="cell">'
                yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'verdict'), environment.getattr(l_2_a, 'result'), _loop_vars=_loop_vars)))
                yield '<th role="rowheader" scope="row"><bdi>'
                yield escape(environment.finalize(environment.getattr(l_2_a, 'label')))
                yield '</bdi> '
                yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'ident'), environment.getattr(l_2_a, 'metric'), _loop_vars=_loop_vars)))
                yield '<td role="cell"><bdi>'
                yield escape(environment.finalize(environment.getattr(l_2_a, 'where')))
                yield '</bdi><td role="cell">'
                yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_1_m is missing else l_1_m), 'value'), environment.getattr(l_2_a, 'value'), _loop_vars=_loop_vars)))
                yield '<td role="cell"><bdi>'
                yield escape(environment.finalize(environment.getattr(l_2_a, 'requirement')))
                yield '</bdi>\n'
            l_2_a = missing
            yield '        </tbody>\n      </table>\n'
        if environment.getattr(l_1_f, 'further'):
            pass
            yield '      <p class="foot">'
            yield escape(environment.finalize(environment.getattr(l_1_f, 'further')))
            yield '</p>\n'
        yield '    </div>\n  </article>\n'
    l_1_f = l_1_m = missing
    if (t_1(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'items')) > (undefined(name='detailed') if l_0_detailed is missing else l_0_detailed)):
        pass
        yield '  <p class="foot">The other '
        yield escape(environment.finalize((t_1(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'items')) - (undefined(name='detailed') if l_0_detailed is missing else l_0_detailed))))
        yield ' findings stand in the list above, with all their figures in the record.</p>\n'
    yield '</section>\n'

blocks = {}
debug_info = '2=20&3=22&4=28&9=31&10=36&16=56&17=61&19=63&20=67&23=69&24=72&28=75&29=79&35=92&36=94&37=96&38=105&42=119&45=144&46=146&47=148&49=150&50=153&54=162&59=165&60=169&65=183&66=186&71=190&72=193'