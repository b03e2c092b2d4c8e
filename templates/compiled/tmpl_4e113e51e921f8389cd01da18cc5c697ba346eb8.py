from jinja2.runtime import LoopContext, Macro, Markup, Namespace, TemplateNotFound, TemplateReference, TemplateRuntimeError, Undefined, escape, identity, internalcode, markup_join, missing, str_join
name = 'certificate.html.j2'

def root(context, missing=missing):
    resolve = context.resolve_or_missing
    undefined = environment.undefined
    concat = environment.concat
    cond_expr_undefined = Undefined
    if 0: yield None
    l_0_p = resolve('p')
    l_0_hashes = resolve('hashes')
    l_0_template = resolve('template')
    l_0_style = resolve('style')
    l_0_paper = resolve('paper')
    l_0_range = resolve('range')
    l_0_envelope = resolve('envelope')
    l_0_m = missing
    try:
        t_1 = environment.filters['length']
    except KeyError:
        @internalcode
        def t_1(*unused):
            raise TemplateRuntimeError("No filter named 'length' found.")
    pass
    l_0_m = context.vars['m'] = environment.get_template('macros.html.j2', 'certificate.html.j2')._get_default_module(context)
    context.exported_vars.discard('m')
    yield '<!doctype html>\n<html lang="'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'language')))
    yield '">\n<head>\n<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src '
    yield escape(environment.finalize((undefined(name='hashes') if l_0_hashes is missing else l_0_hashes)))
    yield '; base-uri \'none\'; form-action \'none\'">\n<meta name="gpuaccept-template" content="'
    yield escape(environment.finalize((undefined(name='template') if l_0_template is missing else l_0_template)))
    yield '">\n<meta name="gpuaccept-language" content="'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'language')))
    yield '">\n<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n<title>'
    yield escape(environment.finalize(('SIMULATED · ' if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'simulated') else '')))
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'decision')))
    yield ' · '
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'title')))
    yield ' '
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'certificate_id')))
    yield '</title>\n<style>'
    yield escape(environment.finalize((undefined(name='style') if l_0_style is missing else l_0_style)))
    yield '</style>\n<style>'
    yield escape(environment.finalize((undefined(name='paper') if l_0_paper is missing else l_0_paper)))
    yield '</style>\n</head>\n<body'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'simulated'):
        pass
        yield ' class="simulated"'
    yield '>\n'
    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'symbols'), (undefined(name='p') if l_0_p is missing else l_0_p))))
    yield '\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'simulated'):
        pass
        yield '<div class="watermark" aria-hidden="true"><svg focusable="false"><g transform="rotate(-32)"><text x="-34%" y="36%">SIMULATED</text><text x="-34%" y="82%">SIMULATED</text></g></svg></div>\n'
    yield '\n<header class="top">\n  <div class="brand"><span class="logo" aria-hidden="true"></span><b>gpuaccept</b> <span>'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'title')))
    yield '</span></div>\n  <div class="ident">'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'simulated'):
        pass
        yield '<span class="sim">SIMULATED</span> '
    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'ident'), environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'certificate_id'))))
    yield '</div>\n</header>\n\n<main>\n<section class="verdict d-'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'seal')))
    yield '" aria-labelledby="verdict">\n  <div class="say">\n    <svg class="seal" aria-hidden="true" focusable="false"><use href="#g-'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'seal')))
    yield '"/></svg>\n    <div>\n      <h1 id="verdict">'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'decision')))
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'simulated'):
        pass
        yield ' <small>SIMULATED</small>'
    yield '</h1>\n      <p class="lead"><bdi>'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'reason')))
    yield '</bdi></p>\n      <p class="tally">Of '
    yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'totals'), 'required')))
    yield ' required verdicts '
    yield escape(environment.finalize(((environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'totals'), 'required') - environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'totals'), 'failed')) - environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'totals'), 'undecided'))))
    yield ' pass, '
    yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'totals'), 'failed')))
    yield ' fail, '
    yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'totals'), 'undecided')))
    yield ' not decided.</p>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'no_acceptance'):
        pass
        yield '      <p class="tally"><b><bdi>'
        yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'no_acceptance')))
        yield '</bdi></b></p>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'unproven'):
        pass
        yield '      <p class="tally">'
        yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'unproven')))
        yield ' <a href="#s2">All of it</a></p>\n'
    yield '    </div>\n  </div>\n  <dl class="what">\n'
    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'facts'), environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'what'))))
    yield '\n  </dl>\n</section>\n\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'items'):
        pass
        template = environment.get_template('findings.html.j2', 'certificate.html.j2')
        gen = template.root_render_func(template.new_context(context.get_all(), True, {'m': l_0_m}))
        try:
            for event in gen:
                yield event
        finally: gen.close()
    yield '\n<section class="s-sure" aria-label="How sure">\n  <dl class="sure">\n'
    for l_1_s in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'sure'):
        _loop_vars = {}
        pass
        yield '    <div><dt>'
        yield escape(environment.finalize(environment.getattr(l_1_s, 'label')))
        yield '</dt><dd><b>'
        yield escape(environment.finalize(environment.getattr(l_1_s, 'figure')))
        yield '</b><p><bdi>'
        yield escape(environment.finalize(environment.getattr(l_1_s, 'note')))
        yield '</bdi></p></dd></div>\n'
    l_1_s = missing
    yield '  </dl>\n</section>\n\n<section class="s-node" aria-labelledby="s1">\n  <header><h2 id="s1"><span>1</span> The node</h2><p>Places in the order of their slots.'
    if environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'fabric'):
        pass
        yield ' Each thread is one NVLink.'
    yield ' The dot in a tile is its memory copy bandwidth, right of the line is good.</p></header>\n  <div>\n'
    if environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'tiles'):
        pass
        yield '  <div class="board">\n    <ol class="tiles">'
        def t_2(fiter):
            for l_1_t in fiter:
                if environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'fabric'):
                    yield l_1_t
        for l_1_t in t_2(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'tiles')[:4]):
            _loop_vars = {}
            pass
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'tile'), l_1_t, _loop_vars=_loop_vars)))
        l_1_t = missing
        def t_3(fiter):
            for l_1_t in fiter:
                if (not environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'fabric')):
                    yield l_1_t
        for l_1_t in t_3(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'tiles')):
            _loop_vars = {}
            pass
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'tile'), l_1_t, _loop_vars=_loop_vars)))
        l_1_t = missing
        yield '</ol>\n'
        if environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'fabric'):
            pass
            yield '    <div class="fabric'
            yield escape(environment.finalize((' one' if (t_1(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'tiles')) <= 4) else '')))
            yield '" role="img" aria-label="NVLinks: '
            yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'description')))
            yield '">\n'
            for l_1_t in environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'tiles'):
                _loop_vars = {}
                pass
                yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'loom'), l_1_t, _loop_vars=_loop_vars)))
            l_1_t = missing
            yield '      <div class="switch"><span>'
            yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'fabric')))
            yield '</span><span class="num">'
            yield escape(environment.finalize(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'description')))
            yield '</span></div>\n    </div>\n'
            if (t_1(environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'tiles')) > 4):
                pass
                yield '    <ol class="tiles" start="5">'
                for l_1_t in environment.getattr(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'board'), 'tiles')[4:]:
                    _loop_vars = {}
                    pass
                    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'tile'), l_1_t, _loop_vars=_loop_vars)))
                l_1_t = missing
                yield '</ol>\n'
        yield '  </div>\n'
    else:
        pass
        yield '  <p>No GPU was found.</p>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'identities'):
        pass
        yield '  <div class="scroll ids" tabindex="0" role="region" aria-label="Identity of every GPU">\n  <table class="plain identities">\n    <thead><tr><th scope="col">GPU</th><th scope="col">Slot</th><th scope="col">Serial</th><th scope="col">UUID</th><th scope="col">Bus</th><th scope="col">VBIOS</th><th scope="col">Part number</th></tr></thead>\n    <tbody>\n'
        for l_1_g in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'identities'):
            _loop_vars = {}
            pass
            yield '<tr><th scope="row" class="num">'
            yield escape(environment.finalize(environment.getattr(l_1_g, 'index')))
            yield '<td><bdi>'
            yield escape(environment.finalize((environment.getattr(l_1_g, 'slot') or 'not known')))
            yield '</bdi>'
            for l_2_text in (environment.getattr(l_1_g, 'serial'), environment.getattr(l_1_g, 'uuid'), environment.getattr(l_1_g, 'bus'), environment.getattr(l_1_g, 'vbios'), environment.getattr(l_1_g, 'part_number')):
                _loop_vars = {}
                pass
                yield '<td>'
                if l_2_text:
                    pass
                    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'ident'), l_2_text, _loop_vars=_loop_vars)))
                else:
                    pass
                    yield '<span class="quiet">not known</span>'
            l_2_text = missing
        l_1_g = missing
        yield '    </tbody>\n  </table>\n  </div>\n'
    yield '  <dl class="facts">\n'
    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'facts'), environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'node_facts'))))
    yield '\n  </dl>\n  </div>\n</section>\n\n<section class="s-unseen" aria-labelledby="s2">\n  <header><h2 id="s2"><span>2</span> Not proven</h2><p>What this page does not prove, and how much could have gone unseen. Bounds at 95&#8239;% confidence.</p></header>\n  <div>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'gaps'):
        pass
        yield '  <h3 class="sub">Planned and not measured</h3>\n  <table role="table" class="plain stack unseen">\n    <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">What</th><th role="columnheader" scope="col">How many</th><th role="columnheader" scope="col">Why</th></tr></thead>\n    <tbody role="rowgroup">\n'
        for l_1_g in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'gaps'):
            _loop_vars = {}
            pass
            yield '<tr role="row"><th role="rowheader" scope="row"><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_g, 'what')))
            yield '</bdi><td role="cell"><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_g, 'count')))
            yield '</bdi><td role="cell"><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_g, 'why')))
            yield '</bdi>\n'
        l_1_g = missing
        yield '    </tbody>\n  </table>\n'
    yield '  <table role="table" class="plain stack unseen">\n    <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Could be there</th><th role="columnheader" scope="col">Upper bound</th><th role="columnheader" scope="col">Why</th></tr></thead>\n    <tbody role="rowgroup">\n'
    for l_1_b in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'unseen'):
        _loop_vars = {}
        pass
        yield '<tr role="row"><th role="rowheader" scope="row"><bdi>'
        yield escape(environment.finalize(environment.getattr(l_1_b, 'what')))
        yield '</bdi><td role="cell" class="num">'
        yield escape(environment.finalize(environment.getattr(l_1_b, 'bound')))
        yield '<td role="cell"><bdi>'
        yield escape(environment.finalize(environment.getattr(l_1_b, 'why')))
        yield '</bdi>\n'
    l_1_b = missing
    yield '    </tbody>\n  </table>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'not_in_plan'):
        pass
        yield '  <p class="foot">Required by the profile and not in this plan, so not decided here: '
        l_1_loop = missing
        for l_1_name, l_1_loop in LoopContext(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'not_in_plan'), undefined):
            _loop_vars = {}
            pass
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'ident'), l_1_name, _loop_vars=_loop_vars)))
            yield escape(environment.finalize(('' if environment.getattr(l_1_loop, 'last') else ', ')))
        l_1_loop = l_1_name = missing
        yield '.</p>\n'
    yield '  </div>\n</section>\n\n'
    template = environment.get_template('results.html.j2', 'certificate.html.j2')
    gen = template.root_render_func(template.new_context(context.get_all(), True, {'m': l_0_m}))
    try:
        for event in gen:
            yield event
    finally: gen.close()
    yield '\n<section class="s-method" aria-labelledby="s5">\n  <header><h2 id="s5"><span>5</span> Method</h2><p>Limits stand in the profile, samples in the record; the verdict is a function of both and can be drawn again.</p></header>\n  <div>\n  <dl class="facts">\n'
    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'facts'), environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'method'))))
    yield '\n  </dl>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'risks'):
        pass
        yield '  <h3 class="sub">How often a limit is wrong</h3>\n  <p class="foot">For one part, by the scatter that the profile declares, taken as normal. u: standard uncertainty. Seen: loss of a typical part that keeps it from passing with 95&#8239;% power. False accept: a part beyond the limit passes. False reject: a good part does not pass at the first look; a further look follows.</p>\n  <table role="table" class="plain stack risks">\n    <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Limit</th><th role="columnheader" scope="col">u</th><th role="columnheader" scope="col">Seen</th><th role="columnheader" scope="col">False accept</th><th role="columnheader" scope="col">False reject</th></tr></thead>\n    <tbody role="rowgroup">\n'
        for l_1_r in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'risks'):
            _loop_vars = {}
            pass
            yield '<tr role="row"><th role="rowheader" scope="row">'
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'ident'), environment.getattr(l_1_r, 'metric'), _loop_vars=_loop_vars)))
            yield ' <bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_r, 'requirement')))
            yield '</bdi><td role="cell" class="num">'
            yield escape(environment.finalize(environment.getattr(l_1_r, 'uncertainty')))
            yield '<td role="cell" class="num">'
            yield escape(environment.finalize(environment.getattr(l_1_r, 'loss')))
            yield '<td role="cell" class="num">'
            yield escape(environment.finalize(environment.getattr(l_1_r, 'false_accept')))
            yield '<td role="cell" class="num">'
            yield escape(environment.finalize(environment.getattr(l_1_r, 'false_reject')))
            yield '\n'
        l_1_r = missing
        yield '    </tbody>\n  </table>\n'
    yield '  <h3 class="sub">Checks</h3>\n  <dl class="facts">\n'
    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'facts'), environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'checks'))))
    yield '\n  </dl>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'coverage'):
        pass
        yield '  <h3 class="sub">Measured of planned</h3>\n  <dl class="facts">\n'
        yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'facts'), environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'coverage'))))
        yield '\n  </dl>\n'
    yield '  </div>\n</section>\n\n<section class="s-runs" aria-labelledby="s6">\n  <header><h2 id="s6"><span>6</span> Runs</h2><p>Every run that was started with this key is counted, and one without an end as failed.</p></header>\n  <div>\n  <dl class="facts">\n'
    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'facts'), environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'ledger'))))
    yield '\n  </dl>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'steps'):
        pass
        yield '  <table role="table" class="plain stack steps">\n    <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Step</th><th role="columnheader" scope="col">Visit</th><th role="columnheader" scope="col">Began, s</th><th role="columnheader" scope="col">Took</th><th role="columnheader" scope="col">Outcome</th></tr></thead>\n    <tbody role="rowgroup">\n'
        for l_1_s in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'steps'):
            _loop_vars = {}
            pass
            yield '<tr role="row"><th role="rowheader" scope="row"><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'step')))
            yield '</bdi><td role="cell">'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'visits')))
            yield '<td role="cell" class="num">'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'started')))
            yield '<td role="cell" class="num">'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'took')))
            yield '<td role="cell"><bdi>'
            yield escape(environment.finalize(environment.getattr(l_1_s, 'outcome')))
            yield '</bdi>\n'
        l_1_s = missing
        yield '    </tbody>\n  </table>\n'
    else:
        pass
        yield '  <p class="foot">No step of the plan was carried out.</p>\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'events'):
        pass
        yield '  <h3 class="sub">Events</h3>\n  <dl class="facts one">\n'
        for (l_1_at, l_1_subject, l_1_text) in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'events'):
            _loop_vars = {}
            pass
            yield '    <div><dt class="num">'
            yield escape(environment.finalize(l_1_at))
            yield ' s</dt><dd>'
            yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'ident'), l_1_subject, _loop_vars=_loop_vars)))
            yield ' <bdi>'
            yield escape(environment.finalize(l_1_text))
            yield '</bdi></dd></div>\n'
        l_1_at = l_1_subject = l_1_text = missing
        yield '  </dl>\n'
    yield '  </div>\n</section>\n\n<section class="s-sign" aria-labelledby="s7">\n  <header><h2 id="s7"><span>7</span> Signatures</h2><p>'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'simulated'):
        pass
        yield 'A key thrown away after the run: it proves nothing. '
    yield 'This page can\'t check itself, and says of no key whose it is; the commands here can, with the buyer\'s own list of keys.</p></header>\n  <div>\n  <ol class="signers">\n'
    t_4 = 1
    for l_1_s in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'signers'):
        _loop_vars = {}
        pass
        yield '    <li><b><bdi>'
        yield escape(environment.finalize(environment.getattr(l_1_s, 'role')))
        yield '</bdi></b><span class="label">key, sha256 of its SPKI</span>'
        yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'ident'), environment.getattr(l_1_s, 'key'), _loop_vars=_loop_vars)))
        yield '<span class="quiet">signed: the record, at its end</span></li>\n'
        t_4 = 0
    l_1_s = missing
    if t_4:
        pass
        yield '    <li><b>nobody</b><span class="quiet">the record names no key</span></li>\n'
    yield '  </ol>\n  <div class="check">\n    <p class="label">Record, sha256</p>\n    <p><code class="digest">'
    for l_1_i in context.call((undefined(name='range') if l_0_range is missing else l_0_range), 0, 64, 8):
        _loop_vars = {}
        pass
        yield '<span>'
        yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'digest')[l_1_i:(l_1_i + 8)]))
        yield '</span> '
    l_1_i = missing
    yield '</code></p>\n    <p class="label">Check it offline</p>\n    <pre tabindex="0" role="region" aria-label="Commands that check this certificate"><code>gpuaccept verify certificate.html --trust trust.yaml'
    yield escape(environment.finalize((' --allow-simulated' if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'simulated') else '')))
    yield '</code></pre>\n    <p class="label">Without gpuaccept: take the record out of this page, then check one signature with openssl (node.pub: the signer\'s public key, from whoever vouches for it)</p>\n    <pre tabindex="0" role="region" aria-label="Commands that check the signature without gpuaccept"><code>sed -n \'/^&lt;script /,/^&lt;\\/script&gt;/p\' certificate.html | sed \'1d;$d\' | tr -d \'\\n\' > record.json\nsha256sum record.json\nsed \'s/.*"payload":"\\([^"]*\\)".*/\\1/\' record.json | base64 -d > payload.json\nsed \'s/.*"sig":"\\([^"]*\\)".*/\\1/\' record.json | base64 -d > signature\n{ printf \'DSSEv1 28 application/vnd.in-toto+json %d \' "$(wc -c &lt; payload.json)"; cat payload.json; } > signed\nopenssl pkeyutl -verify -pubin -inkey node.pub -rawin -in signed -sigfile signature</code></pre>\n  </div>\n  </div>\n</section>\n\n'
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'annex'):
        pass
        yield '<section class="annex" aria-labelledby="sa">\n  <header><h2 id="sa"><span>A</span> Every GPU</h2><p>The judged figure of each GPU. Underlined: worst. U: the largest of the row. '
        yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'marks'))))
        yield '</p></header>\n  <div class="scroll" tabindex="0" role="region" aria-label="Values of every GPU">\n  <table class="matrix every">\n    <thead><tr><th scope="col">Metric</th><th scope="col">Unit</th>'
        for l_1_g in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'gpus'):
            _loop_vars = {}
            pass
            yield '<th scope="col">'
            yield escape(environment.finalize(l_1_g))
            yield '</th>'
        l_1_g = missing
        yield '<th scope="col">U</th><th scope="col">Limit</th></tr></thead>\n'
        for (l_1_title, l_1_rows) in environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'annex'):
            _loop_vars = {}
            pass
            yield '<tbody><tr class="group"><th scope="rowgroup" colspan="'
            yield escape(environment.finalize((t_1(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'gpus')) + 4)))
            yield '">'
            yield escape(environment.finalize(l_1_title))
            yield '\n'
            for l_2_r in l_1_rows:
                _loop_vars = {}
                pass
                yield '<tr><th scope="row">'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'label')))
                yield '<td>'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'unit')))
                if environment.getattr(l_2_r, 'same'):
                    pass
                    yield '<td class="same" colspan="'
                    yield escape(environment.finalize(t_1(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'gpus'))))
                    yield '"><bdi>'
                    yield escape(environment.finalize(environment.getattr(l_2_r, 'same')))
                    yield '</bdi> on '
                    yield escape(environment.finalize(('all' if (t_1(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'gpus')) > 1) else 'it')))
                else:
                    pass
                    for (l_3_text, l_3_v, l_3_worst) in environment.getattr(l_2_r, 'cells'):
                        _loop_vars = {}
                        pass
                        yield '<td'
                        if (l_3_worst or (l_3_v not in ('pass', 'skipped'))):
                            pass
                            yield ' class="m-'
                            yield escape(environment.finalize(l_3_v))
                            yield escape(environment.finalize((' w' if l_3_worst else '')))
                            yield '"'
                        yield '>'
                        yield escape(environment.finalize(l_3_text))
                    l_3_text = l_3_v = l_3_worst = missing
                yield '<td>'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'uncertainty')))
                yield '<td>'
                yield escape(environment.finalize(environment.getattr(l_2_r, 'limit')))
                yield '\n'
            l_2_r = missing
        l_1_title = l_1_rows = missing
        yield '  </table>\n  </div>\n</section>\n'
    yield '</main>\n<footer class="end"><p>Measured until <span class="num">'
    yield escape(environment.finalize(environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'ended')))
    yield '</span>. Modelled on laboratory practice; not an accredited calibration. Relates only to the node listed; reproduce in full only.</p><p><b>End of '
    yield escape(environment.finalize(('certificate' if (environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'title') == 'Acceptance certificate') else 'report')))
    yield '</b> '
    yield escape(environment.finalize(context.call(environment.getattr((undefined(name='m') if l_0_m is missing else l_0_m), 'ident'), environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'certificate_id'))))
    if environment.getattr((undefined(name='p') if l_0_p is missing else l_0_p), 'simulated'):
        pass
        yield ' <span class="sim">SIMULATED</span>'
    yield '</p></footer>\n<script type="application/vnd.gpuaccept.record+json" id="gpuaccept-record">\n'
    yield escape(environment.finalize((undefined(name='envelope') if l_0_envelope is missing else l_0_envelope)))
    yield '\n</script>\n</body>\n</html>\n'

blocks = {}
debug_info = '1=25&3=28&6=30&7=32&8=34&11=36&12=43&13=45&15=47&16=51&17=53&22=57&23=59&27=64&29=66&31=68&32=73&33=75&34=83&35=86&37=88&38=91&43=94&47=96&48=98&53=105&54=109&60=117&62=121&64=124&65=143&66=146&67=150&68=156&70=160&71=163&78=173&83=176&84=180&91=198&99=200&104=203&105=207&113=216&114=220&118=228&119=232&124=240&130=247&132=249&138=252&139=256&146=271&148=273&151=276&161=279&163=281&167=284&168=288&175=303&178=306&179=310&187=319&190=324&191=328&198=338&200=346&212=348&214=351&217=353&218=361&219=365&220=369&221=373&229=408&231=417'