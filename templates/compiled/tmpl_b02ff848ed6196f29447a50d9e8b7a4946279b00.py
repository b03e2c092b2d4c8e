from jinja2.runtime import LoopContext, Macro, Markup, Namespace, TemplateNotFound, TemplateReference, TemplateRuntimeError, Undefined, escape, identity, internalcode, markup_join, missing, str_join
name = 'results.html.j2'

def root(context, missing=missing):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_p = resolve('p')
    l_0_m = resolve('m')
    try:
        t_1 = environment.filters['join']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'join' found.")
    pass
    yield '<section class="s-results" aria-labelledby="s3">\n  <header><h2 id="s3"><span>3</span> Results</h2><p>Each row shows the subject that is worst; ticks are the others. <b>The upright line is the limit; right of it is good</b>, whichever way the metric runs. Bar: ± U. Scale −5&#8239;% … +10&#8239;% of the limit unless marked *.</p><p>Squares: exact results, one a GPU; one that deviates is filled and stands left.</p><p><i class="eff">observe</i> is shown and never decides, <i class="eff">valid</i> must hold for others to count. The number behind a limit is that of its source, listed below the table.</p></header>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'groups'):
        pass
        yield '  <div>\n  <table role="table" class="results">\n    <caption class="sr">Judged limits of the node, worst subject of each</caption>\n    <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Verdict</th><th role="columnheader" scope="col">Metric</th><th role="columnheader" scope="col">Worst, median ± U</th><th role="columnheader" scope="col"><span class="sr">Distance to the </span><span class="at-limit">limit</span></th><th role="columnheader" scope="col">Limit and its source</th></tr></thead>\n'
        for l_1_g in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'groups'):
            _loop_vars = {}
            pass
            yield '    <tbody role="rowgroup">\n<tr role="row" class="group"><th role="rowheader" scope="rowgroup" colspan="5">'
            yield escape(environment.finalize(environment.getattr(l_1_g, 'title')))
            yield ' <code>'
            yield escape(environment.finalize(environment.getattr(l_1_g, 'check')))
            yield '</code>\n'
            for l_2_r in environment.getattr(l_1_g, 'rows'):
                _loop_vars = {}
                pass
                yield '<tr role=row'
                if (environment.getattr(l_2_r, 'verdict') != 'pass'):
                    pass
                    yield ' class="r-'
                    yield escape(environment.finalize(environment.getattr(l_2_r, 'verdict')))
                    yield escape(environment.finalize((' e-observe' if (environment.getattr(l_2_r, 'effect') == 'observe') else '')))
                    yield '"'
                yield '><td role=cell>'
                yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'verdict'), environment.getattr(l_2_r, 'verdict'), _loop_vars=_loop_vars)))
                if (environment.getattr(l_2_r, 'effect') != 'require'):
                    pass
                    yield ' <i class="eff">'
                    yield escape(environment.finalize(environment.getattr(l_2_r, 'effect')))
                    yield '</i>'
                yield '<th role=rowheader>'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'label')))
                yield ' <code>'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'metric')))
                yield '</code><td role=cell><b>'
                yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_r, 'worst'), 'value')))
                if (environment.getattr(environment.getattr(l_2_r, 'worst'), 'plus_minus') or environment.getattr(environment.getattr(l_2_r, 'worst'), 'unit')):
                    pass
                    yield ' <i>'
                    if environment.getattr(environment.getattr(l_2_r, 'worst'), 'plus_minus'):
                        pass
                        yield '±&#8239;'
                        yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_r, 'worst'), 'plus_minus')))
                        yield ' '
                    yield escape(environment.finalize(environment.getattr(environment.getattr(l_2_r, 'worst'), 'unit')))
                    yield '</i>'
                yield '</b> <small>'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'where')))
                if (environment.getattr(l_2_r, 'verdict') != 'pass'):
                    pass
                    yield '<br>'
                    yield escape(environment.finalize(environment.getattr(l_2_r, 'counts')))
                yield '</small><td role=cell>'
                if environment.getattr(l_2_r, 'plot'):
                    pass
                    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'interval'), environment.getattr(l_2_r, 'plot'), _loop_vars=_loop_vars)))
                else:
                    pass
                    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'cells'), l_2_r, _loop_vars=_loop_vars)))
                yield '<td role=cell><b>'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'requirement')))
                yield escape(environment.finalize(('*' if environment.getattr(l_2_r, 'own_scale') else '')))
                yield '</b> <small>'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'source')))
                yield ' <a href="#r'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'note')))
                yield '">'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'note')))
                yield '</a></small>\n'
            l_2_r = missing
            yield '    </tbody>\n'
        l_1_g = missing
        yield '  </table>\n  <h3 class="sub">Sources of the limits</h3>\n  <ol class="sources">\n'
        for l_1_r in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'references'):
            _loop_vars = {}
            pass
            yield '<li id="r'
            yield escape(environment.finalize(environment.getattr(l_1_r, 'number')))
            yield '"><b>'
            yield escape(environment.finalize(environment.getattr(l_1_r, 'number')))
            yield '</b> '
            yield escape(environment.finalize(environment.getattr(l_1_r, 'source')))
            yield ': '
            yield escape(environment.finalize(environment.getattr(l_1_r, 'text')))
            yield '\n'
        l_1_r = missing
        yield '  </ol>\n  <p class="foot">* The row has a scale of its own: its right edge is beyond the farthest good value. n: samples over all visits.</p>\n  </div>\n'
    else:
        pass
        yield '  <p>Nothing was judged by a limit.</p>\n'
    yield '</section>\n\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'strips'):
        pass
        yield '<section class="s-links" aria-labelledby="s3l">\n  <header><h2 id="s3l">Links and pairs</h2><p>One cell a link, or an ordered pair, in groups by GPU ('
        yield escape(environment.finalize(t_1(context.eval_ctx, environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'gpus'), ', ')))
        yield '). Open: pass. Filled: fail or inconclusive. Pale: not measured.</p></header>\n  <div class="strips">\n'
        for l_1_s in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'strips'):
            _loop_vars = {}
            pass
            yield '<div class="strip-row'
            yield escape(environment.finalize((' bad' if (environment.getattr(l_1_s, 'verdict') == 'fail') else '')))
            yield '">\n<div><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'label')))
            yield '</bdi> <code>'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'metric')))
            yield '</code></div>\n'
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'strip'), l_1_s, _loop_vars=_loop_vars)))
            yield '\n<div class="r"><span class="lim"><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'requirement')))
            yield '</bdi></span> <span class="quiet">'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'counts')))
            if (environment.getattr(l_1_s, 'effect') != 'require'):
                pass
                yield ' · '
                yield escape(environment.finalize(environment.getattr(l_1_s, 'effect')))
            yield '</span></div>\n</div>\n'
        l_1_s = missing
        yield '  </div>\n</section>\n'
    yield '\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'matrices'):
        pass
        yield '<section class="s-pairs" aria-labelledby="s3p">\n  <header><h2 id="s3p">Pairs</h2><p>Every ordered pair of GPUs: the row acts, the column is its peer. Figures: median of all repetitions, the worst underlined. '
        yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'marks'))))
        yield '</p></header>\n  <div class="matrices">\n'
        for l_1_x in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'matrices'):
            _loop_vars = {}
            pass
            yield '    <figure>\n      <figcaption><b><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_x, 'title')))
            yield '</bdi></b> '
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'ident'), environment.getattr(l_1_x, 'metric'), _loop_vars=_loop_vars)))
            yield '<br><span class="quiet">'
            yield escape(environment.finalize(environment.getattr(l_1_x, 'unit')))
            yield ', '
            yield escape(environment.finalize(environment.getattr(l_1_x, 'note')))
            if environment.getattr(l_1_x, 'requirement'):
                pass
                yield '; limit <bdi>'
                yield escape(environment.finalize(environment.getattr(l_1_x, 'requirement')))
                yield '</bdi>'
            yield '</span></figcaption>\n      <div class="scroll" tabindex="0" role="region" aria-label="'
            yield escape(environment.finalize(environment.getattr(l_1_x, 'metric')))
            yield '">\n      <table class="matrix pairs">\n<thead><tr><td>'
            for l_2_g in environment.getattr(l_1_x, 'gpus'):
                _loop_vars = {}
                pass
                yield '<th scope="col">'
                yield escape(environment.finalize(l_2_g))
            l_2_g = missing
            yield '\n<tbody>\n'
            for (l_2_g, l_2_row) in environment.getattr(l_1_x, 'rows'):
                _loop_vars = {}
                pass
                yield '<tr><th scope="row">'
                yield escape(environment.finalize(l_2_g))
                for l_3_c in l_2_row:
                    _loop_vars = {}
                    pass
                    yield '<td'
                    if (l_3_c and ((environment.getattr(l_3_c, 'verdict') != 'pass') or environment.getattr(l_3_c, 'worst'))):
                        pass
                        yield ' class="m-'
                        yield escape(environment.finalize(environment.getattr(l_3_c, 'verdict')))
                        yield escape(environment.finalize((' w' if environment.getattr(l_3_c, 'worst') else '')))
                        yield '"'
                    yield '>'
                    if (not l_3_c):
                        pass
                        yield '·'
                    else:
                        pass
                        yield escape(environment.finalize(environment.getattr(l_3_c, 'text')))
                l_3_c = missing
                yield '\n'
            l_2_g = l_2_row = missing
            yield '</table>\n      </div>\n    </figure>\n'
        l_1_x = missing
        yield '  </div>\n</section>\n'
    yield '\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'):
        pass
        yield '<section class="s-soak" aria-labelledby="s4">\n  <header><h2 id="s4"><span>4</span> Soak</h2><p>'
        yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'seconds')))
        yield ' under load, pauses between segments left out. Band: lowest to highest of all GPUs, so a dip of one sample shows. Line: middle. Red: a GPU that misses a limit.</p></header>\n  <figure class="soak">\n'
        for l_1_s in environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'panels'):
            _loop_vars = {}
            pass
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'panel'), l_1_s, environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'times'), _loop_vars=_loop_vars)))
        l_1_s = missing
        yield '    <div class="panel times" aria-hidden="true"><div></div><svg class="chart">'
        for (l_1_x, l_1_anchor, l_1_text) in environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'times'):
            _loop_vars = {}
            pass
            yield '<text class="lab" x="'
            yield escape(environment.finalize(l_1_x))
            yield '%" y="11" text-anchor="'
            yield escape(environment.finalize(l_1_anchor))
            yield '">'
            yield escape(environment.finalize(l_1_text))
            yield '</text>'
        l_1_x = l_1_anchor = l_1_text = missing
        yield '</svg><div></div></div>\n    <figcaption>'
        yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'samples')))
        yield ' samples of each sensor and GPU, largest gap '
        yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'gap')))
        yield ' s.'
        if environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'energy'):
            pass
            yield ' Energy '
            yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'energy')))
            yield '.'
        if environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'early'):
            pass
            yield ' Ended early: '
            yield escape(environment.finalize(t_1(context.eval_ctx, environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'load'), 'early'), ', ')))
            yield '.'
        yield ' Samples are in series.json.gz, its digest in the record.</figcaption>\n  </figure>\n</section>\n'

blocks = {}
debug_info = '4=20&9=23&11=27&12=31&13=35&20=91&21=95&31=109&33=112&35=114&36=118&37=120&38=124&39=126&46=137&48=140&50=142&52=146&53=159&55=161&58=168&59=172&70=197&72=200&74=202&75=208&76=220'